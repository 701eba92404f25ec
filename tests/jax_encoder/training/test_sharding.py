"""The table of axes knows every parameter, and a step over devices is laid out by it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jax_encoder.model import MASKED_LM, shapes_of
from jax_encoder.training.config import OptimizerOptions, PretrainConfig
from jax_encoder.training.mesh import MeshShape
from jax_encoder.training.sharding import RULES, axes_of, choose_layout, layout_of, spec_of, told
from jax_encoder.training.step import build
from parity.encoder.variants import variants
from tests.jax_encoder.training.helpers import CONFIG, assert_trees_close, random_batch

RUN = PretrainConfig(steps=60, batch_size=4, accumulate=2, optimizer=OptimizerOptions(warmup_steps=3))


@pytest.fixture(scope="module")
def every_parameter() -> dict[str, tuple[int, ...]]:
    """Of all variants, with the largest shape of each name."""
    shapes: dict[str, tuple[int, ...]] = {}
    for form in variants().values():
        shapes |= shapes_of(form.config, MASKED_LM)
    return shapes


def test_the_table_knows_every_parameter(every_parameter):
    assert len(every_parameter) > 40
    for name, shape in every_parameter.items():
        spec, stacked = spec_of(name, len(shape)), name.startswith("encoder.layers.")
        assert len(spec) == len(shape) if axes_of(name) else not any(spec), name
        assert len(axes_of(name)) in (0, len(shape) - stacked), name
        assert not stacked or spec[0] is None, name
        # What has a share of everything is the large part of it: all but vectors.
        assert len(shape) - stacked < 2 or "bias" in name or "fsdp" in spec or "relative_bias" in name, name


def test_a_parameter_that_the_table_does_not_know_is_refused():
    with pytest.raises(ValueError, match=r"^how to split encoder\.gadget\.weight is not known: its name must end in"):
        axes_of("encoder.gadget.weight")


def test_axes_that_are_not_asked_for_split_nothing():
    assert spec_of("encoder.layers.attention.query.kernel", 4) == P(None, "fsdp", "tensor", None)
    assert spec_of("encoder.layers.attention.query.kernel", 4, ("tensor",)) == P(None, None, "tensor", None)
    assert set(RULES.values()) == {"fsdp", "tensor"}


def test_one_device_has_no_layout_and_says_what_stays_idle(monkeypatch):
    assert choose_layout(RUN, CONFIG) is None
    assert told(None, RUN) == ""
    monkeypatch.setattr(jax, "device_count", lambda: 8)
    assert told(None, dataclasses.replace(RUN, batch_size=16)).endswith(": --mesh data=8 takes all")
    assert told(None, RUN) == (
        "devices    1 of 8 computes, the others stay idle: --mesh data=8 with a --batch-size of which each part is a "
        "multiple of 8 takes all"
    )


@pytest.mark.slow
def test_a_step_laid_out_on_one_device_is_the_step():
    one = build(RUN, CONFIG, dtype=jnp.float64)
    many = build(RUN, CONFIG, dtype=jnp.float64, layout=layout_of(MeshShape(), jnp.float64, jax.devices()[:1]))
    batch = random_batch([5, 4, 1, 1])
    start, other = one.init(), many.init()
    assert_trees_close(start, other, rtol=0)
    (after, measured), (laid, told_of) = one.step(start, batch), many.step(other, many.placed(batch))
    assert_trees_close(laid, after, rtol=1e-10, atol=1e-12)
    assert_trees_close(told_of, measured, rtol=1e-12)
    sums, others = one.evaluate(after.params, batch), many.evaluate(laid.params, many.placed_whole(batch))
    assert_trees_close(others, sums, rtol=1e-12)


def test_micro_batches_are_split_before_they_are_placed():
    many = build(RUN, CONFIG, layout=layout_of(MeshShape(), jnp.float32, jax.devices()[:1]))
    batch = random_batch([5, 4, 1, 1])
    placed = many.placed(batch)
    assert placed.tokens.shape == (2, 2, 11)
    assert placed.tokens.sharding.spec == P(None, ("data", "fsdp"))
    np.testing.assert_array_equal(np.asarray(placed.tokens).reshape(4, 11), batch.tokens)
