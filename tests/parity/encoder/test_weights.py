"""What the tables of parameters say about axes is what the arrays have."""

import pytest

from parity.cases.case import make_case
from parity.encoder.inputs import Inputs
from parity.encoder.sides import TorchSide, run_torch
from parity.encoder.variants import B, T, sizes_of, variants
from parity.encoder.weights import axes_of
from parity.judge.sites import leaves, paths

VARIANTS = variants()


def sizes(form) -> dict[str, int]:
    config, classes = form.config, form.classifier
    heads = {"N": config.num_heads, "G": config.num_key_value_heads, "H": config.head_dim}
    rows = {"R": config.relative_buckets}
    widths = {"D": config.embed_dim, "E": config.table_width, "F": config.mlp_dim, "V": config.vocab_size}
    return {"B": B, "T": T, "S": T, "C": classes.num_classes} | heads | rows | widths


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_value_has_the_axes_that_it_is_said_to_have(variant):
    form = VARIANTS[variant]
    side = TorchSide(form).double().eval()
    taps = side(Inputs.of(make_case("ragged", sizes_of(form.config)), form), run_torch)
    for name, value in zip(paths(taps), leaves(taps), strict=True):
        for site in (name, f"d(mlm)/d({name})"):
            assert tuple(sizes(form)[letter] for letter in axes_of(site, form)) == tuple(value.shape), site
    for name, parameter in side.named_parameters():
        axes = axes_of(f"d(mlm)/d({name})", form)
        assert len(axes) == parameter.ndim or (axes == "" and parameter.ndim == 2), name
    assert axes_of("trained", form) == axes_of("projection", form) == ""


def test_a_table_is_no_projection():
    form = VARIANTS["relative"]
    for table in ("embedding.word", "relative_bias.table", "relative_embedding.table"):
        assert axes_of(f"encoder.{table}.weight", form) == ""
    assert axes_of("encoder.embedding.norm.weight", form) == "O"
    assert axes_of("head.transform.weight", form) == "OI"
