"""Draws encoders at random, for checks that no hand-made matrix would cover. Data only: numpy, no framework."""

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from jax_encoder.config import Activation, EncoderConfig, MlpKind, NormKind, NormOrder, PositionKind
from parity.encoder.variants import B, T

_EPSILONS = (1e-12, 1e-8, 1e-6, 1e-5, 1e-3)
_RATES = (0.0, 0.1, 0.3)
_THETAS = (10.0, 100.0, 10_000.0, 160_000.0)


def random_config(rng: np.random.Generator) -> EncoderConfig:
    """Draws a small encoder of any form that a config allows.

    Sizes differ from one another, from their product N * H and from the cases' batch and length, so that swapped axes
    show; windows are short enough for the cases to reach past them.
    """
    form = _form(rng)
    layers = int(rng.integers(1, 5))
    rotary = form["position_kind"] == "rotary"
    return EncoderConfig(
        **form,
        **_sizes(rng, layers, form["position_kind"]),
        rope_thetas=tuple(_one_of(rng, _THETAS) for _ in range(layers)) if rotary else (),
        windows=tuple(int(rng.integers(1, T - 1)) if _coin(rng) else None for _ in range(layers)),
        position_offset=int(rng.integers(0, 4)) if form["position_kind"] == "learned" else 0,
        embedding_dropout=_one_of(rng, _RATES),
        attention_dropout=_one_of(rng, _RATES),
        residual_dropout=_one_of(rng, _RATES),
        init_std=float(rng.uniform(0.01, 0.1)),
    )


def _form(rng: np.random.Generator) -> dict[str, Any]:
    """Every choice and every switch, one by one."""
    order = _one_of(rng, get_args(NormOrder))
    return {
        "norm_order": order,
        "norm_kind": _one_of(rng, get_args(NormKind)),
        "norm_eps": _one_of(rng, _EPSILONS),
        "norm_bias": _coin(rng),
        "embedding_norm": _coin(rng),
        "first_attention_norm": order == "post" or _coin(rng),
        "final_norm": _coin(rng),
        "mlp_kind": _one_of(rng, get_args(MlpKind)),
        "activation": _one_of(rng, get_args(Activation)),
        "position_kind": _one_of(rng, get_args(PositionKind)),
        "attention_bias": _coin(rng),
        "mlp_bias": _coin(rng),
        "scan_layers": _coin(rng),
    }


def _sizes(rng: np.random.Generator, layers: int, position_kind: PositionKind) -> dict[str, Any]:
    """Draws until no two sizes are equal; positions in pairs of channels need an even width."""
    while True:
        sizes = {
            "num_layers": layers,
            "num_token_types": int(rng.integers(0, 5)),
            "num_heads": int(rng.integers(1, 5)),
            "head_dim": int(rng.integers(2, 9)) * (2 if position_kind == "rotary" else 1),
            "embed_dim": int(rng.integers(4, 17)) * 2,
            "mlp_dim": int(rng.integers(6, 41)),
            "max_len": int(rng.integers(T + 1, 41)),
            "vocab_size": int(rng.integers(24, 81)),
        }
        width = sizes["num_heads"] * sizes["head_dim"]
        taken = [B, T, *sizes.values(), *([width] if sizes["num_heads"] > 1 else [])]
        if len(set(taken)) == len(taken):
            return sizes


def _one_of(rng: np.random.Generator, choices: Sequence[Any]) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _coin(rng: np.random.Generator) -> bool:
    return bool(rng.integers(2))
