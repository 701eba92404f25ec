"""What an encoder's config cannot hold although each of its fields may. Standard library only."""

import math
from typing import Any

_BUCKETS = (
    "relative_buckets must be a multiple of 4 (half for each direction, half of these for single distances) and "
    "relative_max_distance at least as large"
)
_ROWS = (
    "relative_buckets must be a multiple of 4 and at least 8 (half for each direction, half of these for single "
    "distances), and relative_max_distance above a quarter of it by 2 or more"
)


def check(config: Any) -> None:
    """Refuses what an `EncoderConfig` cannot mean.

    Raises:
        ValueError: with the name and value of what cannot be.
    """
    _check_layers(config)
    _check_groups(config)
    _check_frequencies(config)
    _check_relative(config)
    _check_combinations(config)


def _check_layers(config: Any) -> None:
    """Per-layer tuples have one entry per layer, each in range."""
    if len(config.windows) != config.num_layers:
        raise ValueError(f"windows needs {config.num_layers} entries, one per layer, got {len(config.windows)}")
    for window in config.windows:
        if window is not None and window < 1:
            raise ValueError(f"windows must hold None (sees all) or at least 1 key to each side, got {window!r}")
    expected = config.num_layers if config.position_kind == "rotary" else 0
    if len(config.rope_thetas) != expected:
        raise ValueError(
            f"rope_thetas needs {expected} entries ({config.num_layers} layers, {config.position_kind} positions), "
            f"got {len(config.rope_thetas)}"
        )
    for theta in config.rope_thetas:
        if not theta > 0:
            raise ValueError(f"rope_thetas must be above 0, got {theta!r}")


def _check_groups(config: Any) -> None:
    """Groups are numbered as they first come, and layers that share parameters share their form too."""
    groups = config.layer_groups
    if len(groups) != config.num_layers or list(dict.fromkeys(groups)) != list(range(len(set(groups)))):
        raise ValueError(
            f"layer_groups needs {config.num_layers} entries, one per layer, numbered from 0 as they first come, "
            f"got {groups}"
        )
    forms: dict[int, tuple[object, object]] = {}
    for layer, group in enumerate(groups):
        form = (config.windows[layer], config.rope_thetas[layer] if config.rope_thetas else None)
        if forms.setdefault(group, form) != form:
            raise ValueError(
                f"layers that share their parameters must have the same window and rope_theta, but layer {layer} "
                f"of group {group} differs from an earlier one"
            )
    if not config.first_attention_norm and len(set(groups)) != config.num_layers:
        raise ValueError("first_attention_norm=False gives layer 0 parameters of its own: layers cannot share them")


def _check_frequencies(config: Any) -> None:
    """A checkpoint's own frequencies are of all layers, and of every pair of channels."""
    own, thetas, width = config.rope_frequencies, config.rope_thetas, config.head_dim
    if not own:
        return
    if len(set(thetas)) != 1 or 2 * len(own) != width:
        raise ValueError(
            f"rope_frequencies need one rope_theta for all layers and {width / 2:g} entries, half of head_dim {width}, "
            f"got rope_thetas {thetas} and {len(own)} entries"
        )
    if not all(0 < frequency < math.inf for frequency in own):
        raise ValueError(f"rope_frequencies must be above 0 and finite, got {own}")


def _check_relative(config: Any) -> None:
    """What distances add to the scores has the table that its kind needs, and no other."""
    kind, buckets, furthest = config.relative_kind, config.relative_buckets, config.relative_max_distance
    if kind == "bias" and (not buckets or buckets % 4 or furthest < buckets):
        raise ValueError(f"{_BUCKETS}, got {buckets} and {furthest}")
    if kind == "disentangled" and (buckets < 8 or buckets % 4 or furthest < buckets // 4 + 2):
        raise ValueError(f"{_ROWS}, got {buckets} and {furthest}")
    if kind in (None, "linear"):
        for name in ("relative_buckets", "relative_max_distance"):
            if getattr(config, name):
                raise ValueError(
                    f"{name} is of a table and must be 0 for relative_kind={kind!r}, got {getattr(config, name)}"
                )
    if kind != "disentangled":
        for name in ("relative_norm", "relative_projections"):
            if getattr(config, name):
                raise ValueError(f"{name}=True needs relative_kind='disentangled', got {kind!r}")
    elif config.position_kind == "rotary":
        raise ValueError(
            "relative_kind='disentangled' scores queries and keys as they are: position_kind='rotary' turns them"
        )


def _check_combinations(config: Any) -> None:
    """Refuses what each field allows but the whole cannot mean."""
    if config.position_kind == "rotary" and config.head_dim % 2:
        raise ValueError(f"rotary positions turn pairs of channels: head_dim must be even, got {config.head_dim}")
    dropped = config.dropped_token
    if dropped is not None and (type(dropped) is not int or not 0 <= dropped < config.vocab_size):
        raise ValueError(
            f"dropped_token must be None or a token below vocab_size, {config.vocab_size}, got {dropped!r}"
        )
    if config.position_kind == "sinusoidal" and config.table_width % 2:
        name = "embed_dim" if config.table_dim is None else "table_dim"
        raise ValueError(f"sinusoidal positions fill pairs of channels: {name} must be even, got {config.table_width}")
    if config.position_kind != "learned" and config.position_offset:
        raise ValueError(
            f"position_offset is a row of the learned table and must be 0 for {config.position_kind} positions, "
            f"got {config.position_offset}"
        )
    if config.num_heads % config.num_key_value_heads:
        raise ValueError(
            f"num_key_value_heads must divide num_heads, {config.num_heads}, got {config.num_key_value_heads}"
        )
    if config.mlm_activation is None and config.mlm_transform_bias:
        raise ValueError("mlm_transform_bias=True needs a transform: set mlm_activation")
    if config.mlm_activation is None and config.table_dim is not None:
        raise ValueError("table_dim needs the masked-language-model head's transform, which brings D back to E")
    if config.norm_order == "post" and not config.first_attention_norm:
        raise ValueError("first_attention_norm=False leaves out a norm that only norm_order='pre' has, got 'post'")
