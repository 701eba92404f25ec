"""The reference encoder as a whole: what it must do to any input, and what it refuses."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import torch_ref
from jax_encoder.classifier_config import ClassifierConfig
from tests.torch_ref.helpers import (
    MODERN,
    SINUSOIDAL,
    TINY,
    VARIANTS,
    assert_agree,
    integers,
    ragged_batch,
    random_projection,
    randomise,
)
from tests.torch_ref.helpers import tensors as tensors_of
from torch_ref import Encoder, MaskedLM, Model, masks

variants = pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)


@variants
def test_permuted_batch_permutes_the_output(config):
    batch, encoder = ragged_batch(), randomise(Encoder(config))
    order = torch.tensor([3, 0, 4, 1, 2])
    x_BTD, _ = encoder(batch.tokens, batch.mask)
    permuted_BTD, _ = encoder(batch.tokens[order], batch.mask[order])
    assert_agree(permuted_BTD, x_BTD[order])


@variants
def test_packed_documents_equal_separate_ones(config):
    encoder = randomise(Encoder(config))
    segments_BT = torch.tensor([[1, 1, 1, 2, 2, 2, 2, 2, 3, 0], [1, 1, 1, 1, 1, 1, 2, 2, 0, 0]])
    tokens_BT = integers(0, config.vocab_size, (2, 10))
    packed_BTD, _ = encoder(tokens_BT, masks.from_segments(segments_BT), masks.positions_from_segments(segments_BT))
    for row, start, end in [(0, 0, 3), (0, 3, 8), (0, 8, 9), (1, 0, 6), (1, 6, 8)]:
        everything = torch.ones(1, end - start, end - start, dtype=torch.bool)
        alone_BTD, _ = encoder(tokens_BT[row : row + 1, start:end], everything)
        assert_agree(packed_BTD[row, start:end], alone_BTD[0])


@variants
def test_content_of_padding_reaches_no_tap(config):
    batch, encoder = ragged_batch(), randomise(Encoder(config))
    other_BT = batch.tokens.masked_fill(~batch.valid, 7)
    for ours, theirs in zip(
        tensors_of(encoder(batch.tokens, batch.mask)), tensors_of(encoder(other_BT, batch.mask)), strict=True
    ):
        assert torch.equal(ours, theirs)


@variants
def test_embedding_of_padding_is_0_until_its_norm(config):
    batch = ragged_batch()
    _, taps = randomise(Encoder(config))(batch.tokens, batch.mask)
    for part_BTD in (taps.embedding.word, taps.embedding.total):
        assert torch.equal((part_BTD == 0).all(dim=-1), ~batch.valid)


@variants
def test_nan_embedding_used_only_at_padding_spreads_nowhere(config):
    batch, encoder = ragged_batch(), randomise(Encoder(config))
    with torch.no_grad():
        encoder.embedding.word.weight[0] = torch.nan
    x_BTD, taps = encoder(batch.tokens, batch.mask)
    assert all(tap.isfinite().all() for tap in tensors_of((x_BTD, taps)))
    random_projection(x_BTD).backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@variants
def test_row_without_any_token_has_no_weights_and_no_context(config):
    encoder = randomise(Encoder(config))
    x_BTD, taps = encoder(integers(0, config.vocab_size, (2, 5)), masks.from_lengths(torch.tensor([5, 0]), 5))
    assert all(tap.isfinite().all() for tap in tensors_of((x_BTD, taps)))
    for layer in taps.layers:
        assert (layer.attention.weights[1] == 0).all()
        assert (layer.attention.context[1] == 0).all()
        assert_agree(layer.attention.weights[0].sum(-1), torch.ones(3, 5, dtype=torch.float64))


@variants
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lower_precision_keeps_its_dtype_and_comes_near_float64(config, dtype):
    batch, model = ragged_batch(), randomise(MaskedLM(config))
    expected, _ = model(batch.tokens, batch.mask)
    logits, taps = model.to(dtype)(batch.tokens, batch.mask)
    assert logits.dtype == dtype
    assert taps.encoder.layers[0].attention.scores.dtype == torch.float32
    difference = (logits.double() - expected)[batch.valid].abs().max() / expected.abs().max()
    # Fifty roundings' worth: two layers, each some ten operations deep.
    assert difference < 50 * torch.finfo(dtype).eps


@variants
def test_float64_stays_float64_at_every_tap(config):
    batch = ragged_batch()
    _, taps = randomise(MaskedLM(config))(batch.tokens, batch.mask)
    assert {tap.dtype for tap in tensors_of(taps)} == {torch.float64}


def test_taps_are_none_exactly_where_the_variant_lacks_the_value():
    batch = ragged_batch()
    absent = {}
    for name, config in VARIANTS.items():
        _, taps = randomise(Encoder(config))(batch.tokens, batch.mask)
        absent[name] = [site for site in sites(taps) if site.endswith("=None")]
    biased = [f"layers.{i}.attention.biased_scores=None" for i in (0, 1)]
    disentangled = ["relative_embedding=None", *(f"layers.{i}.attention.relative=None" for i in (0, 1))]
    words = ["embedding_projection=None", "embedding.kept=None"]
    everywhere = [*words, "relative_bias=None", *biased, *disentangled]
    rotary = [f"layers.{i}.attention.rotated_{part}=None" for i in (0, 1) for part in ("query", "key")]
    gated = [f"layers.{i}.mlp.{part}=None" for i in (0, 1) for part in ("up", "product")]
    assert sorted(absent["tiny"]) == sorted([*everywhere, *rotary, *gated, "final_norm=None"])
    assert sorted(absent["sinusoidal"]) == sorted(
        [*everywhere, *rotary, *gated, "embedding.norm=None", "final_norm=None"]
    )
    plain = ["embedding.position=None", "embedding.token_type=None", "layers.0.attention_norm=None"]
    assert sorted(absent["modern"]) == sorted([*everywhere, *plain])
    plain = [*words, "embedding.position=None", *rotary, "final_norm=None"]
    assert sorted(absent["disentangled"]) == sorted([*plain, "embedding.token_type=None", "relative_bias=None", *gated])
    assert sorted(absent["alibi"]) == sorted([*plain, *disentangled])
    plain = ["embedding.position=None", "embedding.token_type=None", "embedding_projection=None", *gated]
    assert sorted(absent["esm"]) == sorted([*plain, "relative_bias=None", *biased, *disentangled])


def sites(taps, path=""):
    """The path of every value, in the order computed."""
    if taps is None or isinstance(taps, torch.Tensor):
        return [path + ("=None" if taps is None else "")]
    names = getattr(taps, "_fields", range(len(taps)))
    return [
        s for name, tap in zip(names, taps, strict=True) for s in sites(tap, f"{path}.{name}" if path else f"{name}")
    ]


def test_default_inputs_are_column_positions_and_token_type_0():
    batch, encoder = ragged_batch(), randomise(Encoder(TINY))
    x_BTD, _ = encoder(batch.tokens, batch.mask)
    columns_BT = torch.arange(9, dtype=torch.int32).expand(5, 9)
    given_BTD, _ = encoder(batch.tokens, batch.mask, columns_BT, torch.zeros_like(batch.tokens))
    assert torch.equal(given_BTD, x_BTD)


def test_targets_pick_the_columns_whose_logits_are_wanted():
    batch, model = ragged_batch(), randomise(MaskedLM(TINY))
    targets_BK = integers(0, 9, (5, 4)).int()
    every_BTV, _ = model(batch.tokens, batch.mask)
    some_BKV, taps = model(batch.tokens, batch.mask, targets_BK=targets_BK)
    for b in range(5):
        for k in range(4):
            assert_agree(some_BKV[b, k], every_BTV[b, targets_BK[b, k]])
    assert taps.head.transform.shape == (5, 4, TINY.embed_dim)


def test_parts_compute_the_same_whatever_stands_beside_them():
    batch, nothing = ragged_batch(), {"head": False, "pooler": False, "classifier": None}
    classes = ClassifierConfig(num_classes=5, pooling="mean", activation="tanh", transform_bias=True, norm=False)
    parts = {"head": True, "pooler": True, "classifier": classes}
    model = randomise(Model(TINY, **parts))
    every, taps = model(batch.tokens, batch.mask)
    assert None not in (*every, *taps)
    for part, output in (("head", "logits"), ("pooler", "pooled"), ("classifier", "classes")):
        other = Model(TINY, **nothing | {part: parts[part]}).double()
        state = {name: one for name, one in model.state_dict().items() if name.startswith(("encoder.", f"{part}."))}
        other.load_state_dict(state, strict=True)
        outputs, taps = other(batch.tokens, batch.mask)
        assert [name for name, one in outputs._asdict().items() if one is not None] == ["hidden", output]
        assert [name for name, one in taps._asdict().items() if one is not None] == ["encoder", part]
        assert_agree(getattr(outputs, output), getattr(every, output))
    with pytest.raises(ValueError, match=r"^targets must be None for a model without the masked-language-model head$"):
        other(batch.tokens, batch.mask, targets_BK=torch.zeros(5, 1, dtype=torch.int32))


OFFSET = dataclasses.replace(TINY, position_offset=2)
REFUSED = [
    (TINY, "tokens_BT", [[1, 61]], r"tokens must be from 0 to 60 \(vocab_size is 61\), got 61 in row 0, column 1"),
    (TINY, "tokens_BT", [[-1, 3]], "tokens must be from 0 to 60 .*, got -1 in row 0, column 0"),
    (TINY, "positions_BT", [[37, 0]], r"positions must be from 0 to 36 \(max_len is 37\), got 37 in row 0, column 0"),
    (OFFSET, "positions_BT", [[0, 37]], r"positions must be from 0 to 36 \(max_len is 37\), got 37 in row 0, column 1"),
    (TINY, "token_types_BT", [[0, 4]], r"token_types must be from 0 to 3 \(num_token_types is 4\), got 4"),
    (MODERN, "token_types_BT", [[0, 0]], "token_types must be None for an encoder whose num_token_types is 0"),
    (TINY, "targets_BK", [[2]], r"targets must be from 0 to 1 \(the number of columns is 2\), got 2"),
]


@pytest.mark.parametrize(("config", "name", "ids", "message"), REFUSED)
def test_refuses_indices_outside_their_table(config, name, ids, message):
    inputs = {"tokens_BT": torch.tensor([[1, 2]]), "mask_BTS": torch.ones(1, 2, 2, dtype=torch.bool)}
    with pytest.raises(ValueError, match=message):
        MaskedLM(config)(**inputs | {name: torch.tensor(ids)})


@variants
def test_refuses_rows_longer_than_max_len(config):
    tokens_BT = torch.ones(2, 38, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"rows may have at most 37 tokens \(max_len\), got 38: cut them, or build"):
        Encoder(config)(tokens_BT, torch.ones(2, 38, 38, dtype=torch.bool))


@pytest.mark.parametrize("config", [MODERN, SINUSOIDAL], ids=["rotary", "sinusoidal"])
def test_positions_without_a_table_may_exceed_max_len(config):
    encoder, mask_BTS = randomise(Encoder(config)), torch.ones(1, 2, 2, dtype=torch.bool)
    x_BTD, _ = encoder(torch.tensor([[1, 2]]), mask_BTS, torch.tensor([[400, 4000]]))
    assert x_BTD.isfinite().all()


WITHOUT_JAX = """
import json, sys
from types import SimpleNamespace

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"jax", "jaxlib", "flax", "jax_encoder", "parity"}:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Block())
import torch, torch_ref
model = torch_ref.MaskedLM(SimpleNamespace(**json.loads(sys.argv[1])))
logits, _ = model(torch.tensor([[1, 2, 3]]), torch_ref.masks.from_lengths(torch.tensor([3]), 3))
print(list(logits.shape), "jax" in sys.modules)
"""


def test_runs_where_jax_cannot_be_imported():
    command = [sys.executable, "-c", WITHOUT_JAX, json.dumps(dataclasses.asdict(MODERN))]
    root = Path(torch_ref.__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.stdout == "[1, 3, 61] False\n", done.stderr
