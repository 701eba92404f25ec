"""The reference's layers and leaves against torch.nn and against the formulas."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from tests.torch_ref.helpers import MODERN, TINY, assert_agree, normal, ragged_batch, randomise
from torch_ref import (
    MLP,
    Encoder,
    EncoderKeeps,
    LayerKeeps,
    MLMHead,
    Norm,
    Pooler,
    PostNormLayer,
    PreNormLayer,
    masks,
    mean_pool,
)
from torch_ref.embedding import sinusoid

SQUARE = dataclasses.replace(TINY, embed_dim=24)  # torch.nn ties the heads to the width: N * H = D
ACTIVATIONS = {
    "gelu_exact": lambda x: x * (1 + torch.erf(x / math.sqrt(2))) / 2,
    "gelu_tanh": lambda x: x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    "relu": lambda x: x.clamp(min=0),
    "silu": lambda x: x / (1 + torch.exp(-x)),
}


def copy_torch_layer(theirs: nn.TransformerEncoderLayer, ours: nn.Module) -> None:
    """Torch's names for one layer, to ours."""
    names = {
        "self_attn.out_proj": "attention.out",
        "linear1": "mlp.up",
        "linear2": "mlp.down",
        "norm1": "attention_norm",
        "norm2": "mlp_norm",
    }
    state = {}
    for name, parameter in theirs.named_parameters():
        if "in_proj" in name:
            for part, value in zip(("query", "key", "value"), parameter.chunk(3), strict=True):
                state[f"attention.{part}.{name.rpartition('_')[2]}"] = value
        else:
            owner, _, kind = name.rpartition(".")
            state[f"{names[owner]}.{kind}"] = parameter
    ours.load_state_dict(state, strict=True)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ["gelu_exact", "relu"])
@pytest.mark.parametrize("norm_order", ["post", "pre"])
def test_layer_equals_torch_encoder_layer(norm_order, activation, bias):
    config = dataclasses.replace(
        SQUARE,
        norm_order=norm_order,
        activation=activation,
        attention_bias=bias,
        mlp_bias=bias,
        mlp_down_bias=bias,
        norm_bias=bias,
    )
    theirs = randomise(
        nn.TransformerEncoderLayer(
            d_model=config.embed_dim,
            nhead=config.num_heads,
            dim_feedforward=config.mlp_dim,
            dropout=0.0,
            activation={"gelu_exact": "gelu", "relu": "relu"}[activation],
            layer_norm_eps=config.norm_eps,
            batch_first=True,
            norm_first=norm_order == "pre",
            bias=bias,
        )
    )
    ours = {"pre": PreNormLayer, "post": PostNormLayer}[norm_order](config, layer=0).double()
    copy_torch_layer(theirs, ours)
    batch, x_BTD = ragged_batch(), normal(5, 9, 24)
    output_BTD, _ = ours(x_BTD, batch.mask)
    expected_BTD = theirs(x_BTD, src_key_padding_mask=~batch.valid)
    assert_agree(output_BTD[batch.valid], expected_BTD[batch.valid])


@pytest.mark.parametrize("norm_order", ["post", "pre"])
def test_stack_with_final_norm_and_windows_equals_torch_encoder(norm_order):
    config = dataclasses.replace(SQUARE, norm_order=norm_order, final_norm=True, windows=(2, 2))
    layer = nn.TransformerEncoderLayer(
        24,
        3,
        28,
        dropout=0.0,
        activation="gelu",
        layer_norm_eps=1e-12,
        batch_first=True,
        norm_first=norm_order == "pre",
    )
    final_norm = nn.LayerNorm(24, eps=1e-12)
    theirs = randomise(nn.TransformerEncoder(layer, 2, norm=final_norm, enable_nested_tensor=False))
    ours = randomise(Encoder(config), seed=9)
    for ours_layer, theirs_layer in zip(ours.layers, theirs.layers, strict=True):
        copy_torch_layer(theirs_layer, ours_layer)
    ours.final_norm.load_state_dict(theirs.norm.state_dict(), strict=True)

    batch = ragged_batch()
    x_BTD, taps = ours(batch.tokens, batch.mask)
    far_TS = torch.tensor([[abs(t - s) > 2 for s in range(9)] for t in range(9)])
    expected_BTD = theirs(taps.embedding.norm, mask=far_TS, src_key_padding_mask=~batch.valid)
    assert_agree(x_BTD[batch.valid], expected_BTD[batch.valid])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_norm_is_its_formula_down_to_vanishing_variance(kind, bias):
    norm = randomise(Norm(dataclasses.replace(TINY, norm_kind=kind, norm_bias=bias, norm_eps=1e-5), 20))
    x_BTD = normal(2, 4, 20) * torch.tensor([1.0, 1e-3, 1e-8, 0.0], dtype=torch.float64)[:, None]
    centred_BTD = x_BTD - x_BTD.mean(-1, keepdim=True) if kind == "layer" else x_BTD
    expected_BTD = centred_BTD / ((centred_BTD**2).mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight
    expected_BTD = expected_BTD + norm.bias if bias else expected_BTD
    assert_agree(norm(x_BTD), expected_BTD)
    assert norm(x_BTD).isfinite().all()


def test_layer_norm_survives_a_large_mean():
    norm = randomise(Norm(TINY, 20))
    x_BTD = normal(2, 4, 20)
    assert (norm(x_BTD + 1e4) - norm(x_BTD)).abs().max() < 1e-10


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", ["dense", "gated"])
def test_mlp_is_its_formula(kind, activation, bias):
    config = dataclasses.replace(TINY, mlp_kind=kind, activation=activation, mlp_bias=bias, mlp_down_bias=bias)
    mlp, x_BTD, act = randomise(MLP(config)), normal(2, 4, 20), ACTIVATIONS[activation]
    output_BTD, taps = mlp(x_BTD)
    hidden_BTF = act(mlp.gate(x_BTD)) * mlp.up(x_BTD) if kind == "gated" else act(mlp.up(x_BTD))
    assert_agree(output_BTD, mlp.down(hidden_BTF))
    assert_agree(taps.post_activation, act(taps.pre_activation))
    assert {name for name, _ in mlp.named_parameters() if name.endswith("bias")} == (
        {f"{part}.bias" for part in ("gate", "up", "down") if part != "gate" or kind == "gated"} if bias else set()
    )


def test_sinusoid_is_its_formula():
    positions_BT = torch.tensor([[0, 1, 2, 900]])
    expected_BTD = torch.empty(1, 4, 20, dtype=torch.float64)
    for t, position in enumerate(positions_BT[0].tolist()):
        for i in range(10):
            angle = position / 10000 ** (2 * i / 20)
            expected_BTD[0, t, 2 * i], expected_BTD[0, t, 2 * i + 1] = math.sin(angle), math.cos(angle)
    assert_agree(sinusoid(positions_BT, 20, torch.float64), expected_BTD)


def test_mlm_head_is_tied_to_the_table_it_is_given():
    head, x_BKD, table_VD = randomise(MLMHead(TINY)), normal(2, 3, 20), normal(61, 20, seed=8)
    logits_BKV, taps = head(x_BKD, table_VD)
    assert_agree(taps.activation, ACTIVATIONS["gelu_exact"](x_BKD @ head.transform.weight.T + head.transform.bias))
    assert_agree(logits_BKV, nn.functional.linear(head.norm(taps.activation), table_VD, head.bias))
    modern = MLMHead(MODERN)
    assert modern.transform.bias is None
    assert modern.norm.bias is None
    assert modern.bias.shape == (61,)


def test_pooler_reads_the_first_token():
    pooler, x_BTD = randomise(Pooler(TINY)), normal(2, 3, 20)
    output_BD, taps = pooler(x_BTD)
    assert_agree(taps.dense, x_BTD[:, 0] @ pooler.dense.weight.T + pooler.dense.bias)
    assert_agree(output_BD, torch.tanh(taps.dense))


def test_mean_pool_counts_valid_positions_only():
    x_BTD, valid_BT = normal(3, 4, 20), torch.tensor([[1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]]).bool()
    x_BTD[1, 0] = x_BTD[2, 3] = torch.nan
    x_BTD.requires_grad_()
    pooled_BD = mean_pool(x_BTD, valid_BT)
    assert_agree(pooled_BD[0], x_BTD[0].mean(0))
    assert_agree(pooled_BD[1], (x_BTD[1, 1] + x_BTD[1, 3]) / 2)
    assert (pooled_BD[2] == 0).all()
    pooled_BD.sum().backward()
    assert (x_BTD.grad[~valid_BT] == 0).all()


def layer_keeps(config, changes=None):
    kept = LayerKeeps(*(torch.ones(shape, dtype=torch.bool) for shape in ((1, 3, 2, 2), (1, 2, 20), (1, 2, 20))))
    return kept._replace(**(changes or {}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": None}, r"keeps.layers\[1\].weights must be a mask because attention_dropout is 0.1, got None"),
        ({"attention_output": None}, r"keeps.layers\[1\].attention_output must be a mask because residual_dropout"),
        ({"mlp_output": None}, r"keeps.layers\[1\].mlp_output must be a mask .*: pass keeps=None to run without"),
    ],
)
def test_refuses_to_skip_a_dropout_site(changes, message):
    keeps = EncoderKeeps(torch.ones(1, 2, 20, dtype=torch.bool), (layer_keeps(TINY), layer_keeps(TINY, changes)))
    with pytest.raises(ValueError, match=message):
        Encoder(TINY)(torch.tensor([[1, 2]]), masks.from_lengths(torch.tensor([2]), 2), keeps=keeps)


def test_refuses_keeps_for_another_number_of_layers():
    keeps = EncoderKeeps(torch.ones(1, 2, 20, dtype=torch.bool), (layer_keeps(TINY),))
    with pytest.raises(ValueError, match=r"keeps.layers needs 2 entries, one per layer, got 1"):
        Encoder(TINY)(torch.tensor([[1, 2]]), masks.from_lengths(torch.tensor([2]), 2), keeps=keeps)


def test_keeps_may_be_none_where_the_rate_is_0():
    batch, encoder = ragged_batch(), randomise(Encoder(MODERN))
    keeps = EncoderKeeps(embedding=None, layers=(LayerKeeps(None, None, None),) * 2)
    assert MODERN.embedding_dropout > 0  # tiny's rates, to be switched off here
    still = dataclasses.replace(MODERN, embedding_dropout=0.0, attention_dropout=0.0, residual_dropout=0.0)
    silent = randomise(Encoder(still))
    assert torch.equal(silent(batch.tokens, batch.mask, keeps=keeps)[0], encoder(batch.tokens, batch.mask)[0])
