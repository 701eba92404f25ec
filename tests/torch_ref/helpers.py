"""What the tests of torch_ref share: variants, random parameters, ragged batches, and the error that they bound."""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from jax_encoder.config import EncoderConfig
from torch_ref import EncoderKeeps, LayerKeeps, masks

ALLOWED = 1e-12  # float64 rounding through two layers is about 1e-15; the smallest mistake known makes 1e-6

TINY = EncoderConfig.tiny()
MODERN = dataclasses.replace(
    TINY,
    num_token_types=0,
    position_kind="rotary",
    rope_thetas=(160_000.0, 10_000.0),
    windows=(None, 2),
    norm_order="pre",
    norm_kind="rms",
    norm_eps=1e-5,
    norm_bias=False,
    first_attention_norm=False,
    final_norm=True,
    mlp_kind="gated",
    activation="silu",
    attention_bias=False,
    mlp_bias=False,
    mlp_down_bias=False,
    mlm_activation="silu",
    mlm_transform_bias=False,
)
SINUSOIDAL = dataclasses.replace(
    TINY, position_kind="sinusoidal", norm_order="pre", norm_kind="rms", embedding_norm=False, activation="gelu_tanh"
)
DISENTANGLED = dataclasses.replace(
    TINY,
    position_kind="none",
    relative_kind="disentangled",
    relative_buckets=8,
    relative_max_distance=6,
    relative_norm=True,
    num_token_types=0,
)
ALIBI = dataclasses.replace(TINY, position_kind="none", relative_kind="linear", mlp_kind="gated", mlp_bias=False)
ESM = dataclasses.replace(
    TINY,
    num_token_types=0,
    dropped_token=5,
    position_kind="rotary",
    rope_thetas=(100.0, 100.0),
    rope_frequencies=(1.0, 0.3, 0.125, 0.03),
    norm_order="pre",
    final_norm=True,
)
VARIANTS = {
    "tiny": TINY,
    "modern": MODERN,
    "sinusoidal": SINUSOIDAL,
    "disentangled": DISENTANGLED,
    "alibi": ALIBI,
    "esm": ESM,
}


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Float64 and random in every parameter: zero biases and unit scales would hide what is wired wrongly."""
    generator = torch.Generator().manual_seed(seed)
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.4)
    return module


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def integers(low: int, high: int, shape: tuple[int, ...], seed: int = 2) -> Tensor:
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(seed))


class Batch(NamedTuple):
    tokens: Tensor
    valid: Tensor
    mask: Tensor


def ragged_batch() -> Batch:
    """Full, short, left-padded, holed and one-token rows; token 0 stands at padding and nowhere else."""
    valid_BT = masks.from_lengths(torch.tensor([9, 6, 9, 9, 1]), 9).any(dim=2)
    valid_BT[2, :3] = False
    valid_BT[3, 2:5] = False
    tokens_BT = integers(1, TINY.vocab_size, (5, 9)).masked_fill(~valid_BT, 0)
    return Batch(tokens_BT, valid_BT, masks.from_valid(valid_BT))


def draw_keeps(config: EncoderConfig, *, B: int, T: int) -> tuple[EncoderKeeps, list[Tensor]]:
    """Keep masks, and the same in the order in which BERT asks for them."""
    generator = torch.Generator().manual_seed(5)

    def draw(rate: float, *shape: int) -> Tensor:
        return torch.rand(shape, generator=generator) >= rate

    D, N = config.embed_dim, config.num_heads
    embedding = draw(config.embedding_dropout, B, T, D)
    layers = tuple(
        LayerKeeps(
            draw(config.attention_dropout, B, N, T, T),
            draw(config.residual_dropout, B, T, D),
            draw(config.residual_dropout, B, T, D),
        )
        for _ in range(config.num_layers)
    )
    return EncoderKeeps(embedding, layers), [embedding, *(keep for layer in layers for keep in layer)]


def random_projection(x: Tensor) -> Tensor:
    """A loss that a norm at the end cannot hide: the mean of its output has gradient 0."""
    return (x * normal(*x.shape)).sum()


def error(actual: Tensor, expected: Tensor) -> float:
    """Largest difference relative to the largest expected magnitude; never broadcasts, NaN if anything is."""
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    assert actual.numel()
    return float((actual - expected).abs().max() / expected.abs().max())


def assert_agree(actual: Tensor, expected: Tensor) -> None:
    assert error(actual.detach(), expected.detach()) <= ALLOWED


def tensors(taps: Any) -> Iterator[Tensor]:
    """Every tensor in nested taps."""
    if isinstance(taps, Tensor):
        yield taps
    elif taps is not None:
        for value in taps:
            yield from tensors(value)
