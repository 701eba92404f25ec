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
    rotary, groups = form["position_kind"] == "rotary", _groups(rng, layers, alone=not form["first_attention_norm"])
    # Layers that share their parameters share their form.
    windows = [int(rng.integers(1, T - 1)) if _coin(rng) else None for _ in range(layers)]
    thetas = [_one_of(rng, _THETAS) for _ in range(layers)]
    return EncoderConfig(
        **form,
        **_sizes(rng, layers, form),
        layer_groups=groups,
        rope_thetas=tuple(thetas[group] for group in groups) if rotary else (),
        windows=tuple(windows[group] for group in groups),
        position_offset=int(rng.integers(0, 4)) if form["position_kind"] == "learned" else 0,
        embedding_dropout=_one_of(rng, _RATES),
        attention_dropout=_one_of(rng, _RATES),
        residual_dropout=_one_of(rng, _RATES),
        init_std=float(rng.uniform(0.01, 0.1)),
    )


def _groups(rng: np.random.Generator, layers: int, *, alone: bool) -> tuple[int, ...]:
    """Which layers share parameters, numbered as they come: in two of three encoders, none."""
    if alone or rng.integers(3):
        return tuple(range(layers))
    drawn = [int(rng.integers(layers)) for _ in range(layers)]
    numbers = {group: number for number, group in enumerate(dict.fromkeys(drawn))}
    return tuple(numbers[group] for group in drawn)


def _form(rng: np.random.Generator) -> dict[str, Any]:
    """Every choice and every switch, one by one."""
    order = _one_of(rng, get_args(NormOrder))
    transform = bool(rng.integers(4))
    buckets = _one_of(rng, (0, 0, 4, 8))
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
        "relative_buckets": buckets,
        "relative_max_distance": buckets and int(rng.integers(8, T + 8)),
        "mlm_activation": _one_of(rng, get_args(Activation)) if transform else None,
        "mlm_transform_bias": transform and _coin(rng),
        "mlm_decoder_bias": _coin(rng),
        "mlm_tied": _coin(rng),
        "scan_layers": _coin(rng),
    }


def _sizes(rng: np.random.Generator, layers: int, form: dict[str, Any]) -> dict[str, Any]:
    """Draws until no two sizes are equal; positions in pairs of channels need an even width."""
    factorised = form["mlm_activation"] is not None and not rng.integers(3)
    while True:
        heads = int(rng.integers(1, 7))
        sizes = {
            "num_layers": layers,
            "num_token_types": int(rng.integers(0, 5)),
            "num_heads": heads,
            "head_dim": int(rng.integers(2, 9)) * (2 if form["position_kind"] == "rotary" else 1),
            "embed_dim": int(rng.integers(4, 17)) * 2,
            "mlp_dim": int(rng.integers(6, 41)),
            "max_len": int(rng.integers(T + 1, 41)),
            "vocab_size": int(rng.integers(24, 81)),
            **({"table_dim": int(rng.integers(4, 17)) * 2} if factorised else {}),
        }
        taken = [B, T, *sizes.values(), *([heads * sizes["head_dim"]] if heads > 1 else [])]
        if len(set(taken)) == len(taken):
            # May equal the number of heads, of layers or of token types: nothing else would be left to share.
            shared = _one_of(rng, [each for each in range(1, heads + 1) if heads % each == 0])
            return {"table_dim": None} | sizes | {"num_key_value_heads": shared}


def _one_of(rng: np.random.Generator, choices: Sequence[Any]) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _coin(rng: np.random.Generator) -> bool:
    return bool(rng.integers(2))
