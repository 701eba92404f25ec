"""Which implementation of attention a layer gets, and why.

`einsum` is the reference and takes everything. Every other implementation is proved against it (`python -m parity
kernels`) before it stands here, and one that has only been seen to lower is never taken by itself.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import jax
from jax.typing import DTypeLike

from jax_encoder.config import EncoderConfig
from jax_encoder.kernels import blocks, einsum, pallas_gpu, splash_tpu
from jax_encoder.kernels.sight import Attend
from jax_encoder.kernels.trial import trial

AUTO, EINSUM = "auto", "einsum"

_Reason = str  # why not; empty if there is no reason


class Layer(NamedTuple):
    """What decides which implementation a layer may have.

    Attributes:
        platform: "cpu", "gpu" or "tpu".
        dtype: of query, key and value.
        head_dim: H.
        length: T, columns of the rows.
        window: how many keys to each side a query sees; None sees all.
        relative: what distances add to the scores, as the config calls it; None adds nothing.
        drops: whether attention weights are dropped.
    """

    platform: str
    dtype: str
    head_dim: int
    length: int
    window: int | None
    relative: str | None
    drops: bool


class Implementation(NamedTuple):
    """One way to compute attention.

    Attributes:
        attend: computes it; `interpret` runs a kernel on a device that it is not made for.
        platforms: that it runs on.
        refuses: why it cannot compute a layer.
        worse: why it is not worth taking by itself, where it can.
        tried: whether it is tried on the device before it is taken by itself.
    """

    attend: Callable[[bool], Attend]
    platforms: tuple[str, ...]
    refuses: Callable[[Layer], _Reason]
    worse: Callable[[Layer], _Reason]
    tried: bool = False


class Choice(NamedTuple):
    """What a layer gets.

    Attributes:
        name: of the implementation.
        why: what spoke against those before it; empty if nothing did.
        window: as the implementation is told; None where it would reach over the whole row.
    """

    name: str
    why: str
    window: int | None


def _scores_needed(layer: Layer) -> _Reason:
    """Why all scores must lie in memory."""
    if layer.drops:
        return "attention weights are dropped"
    return f"scores have a relative part ({layer.relative})" if layer.relative else ""


def _windows_refuse(layer: Layer) -> _Reason:
    return _scores_needed(layer) or ("" if layer.window is not None else "there is no window")


def _windows_worse(layer: Layer) -> _Reason:
    assert layer.window is not None, "without one it refuses"
    # Measured on a CPU, float32, 4 heads of 64, forward and backward: einsum 4.4 and windows 5.4 ms at 8 x 128 with a
    # window of 32; 20 and 18 at 4 x 256, 100 and 50 at 4 x 512, 224 and 50 at 2 x 1,024, each with one of 64.
    shortest = max(4 * blocks.block_of(layer.window), 256)
    return "" if layer.length >= shortest else f"rows of less than {shortest} are as fast without blocks"


def _rows_refuse(layer: Layer) -> _Reason:
    return _scores_needed(layer) or ("" if layer.window is None else "there is a window")


def _rows_worse(layer: Layer) -> _Reason:
    # Measured on a CPU: as fast as einsum (109 and 101 ms at 4 x 512), so it is memory that decides.
    return "" if layer.length >= 1024 else "rows of less than 1,024 fit into memory without blocks"


def _pallas_refuses(layer: Layer) -> _Reason:
    if layer.dtype == "float64":
        return "the kernel sums in float32"
    if layer.head_dim < 16:
        return f"heads of {layer.head_dim} are too small for its products, at least 16"
    return _rows_refuse(layer) or ("" if pallas_gpu.available() else "this release of JAX has no such kernel")


def _pallas_worse(layer: Layer) -> _Reason:
    return "" if layer.length >= pallas_gpu.BLOCK else f"rows of less than {pallas_gpu.BLOCK} would be mostly padding"


def _splash_refuses(layer: Layer) -> _Reason:
    return "the kernel sums in float32" if layer.dtype == "float64" else _scores_needed(layer)


def _splash_worse(layer: Layer) -> _Reason:
    least = splash_tpu.BLOCKS[-1]
    return "" if layer.length >= least else f"rows of less than {least} would be mostly padding"


def _never(layer: Layer) -> _Reason:
    return ""


EVERYWHERE = ("cpu", "gpu", "tpu")
# In the order in which they are tried; the last takes everything.
IMPLEMENTATIONS: Mapping[str, Implementation] = {
    "pallas": Implementation(pallas_gpu.attend_by, ("gpu",), _pallas_refuses, _pallas_worse, tried=True),
    "splash": Implementation(splash_tpu.attend_by, ("tpu",), _splash_refuses, _splash_worse, tried=True),
    "windows": Implementation(lambda _: blocks.windows, EVERYWHERE, _windows_refuse, _windows_worse),
    "rows": Implementation(lambda _: blocks.rows, EVERYWHERE, _rows_refuse, _rows_worse),
    EINSUM: Implementation(lambda _: einsum.attend, EVERYWHERE, _never, _never),
}


def choose(layer: Layer, asked: str = AUTO, *, interpret: bool = False) -> Choice:
    """The implementation for a layer: the one that is asked for, or the first that suits.

    What is asked for and cannot be is `einsum` instead, and says why.

    Raises:
        ValueError: no implementation has that name.
    """
    if asked not in (AUTO, *IMPLEMENTATIONS):
        raise ValueError(f"attention must be one of {', '.join((AUTO, *IMPLEMENTATIONS))}, got {asked!r}")
    if asked != AUTO:
        why = _impossible(IMPLEMENTATIONS[asked], layer, interpret)
        name, why = (EINSUM, f"{asked} was asked for, but {why}") if why else (asked, "asked for")
        return Choice(name, why, layer.window)
    against: list[_Reason] = []
    for name, one in IMPLEMENTATIONS.items():
        if layer.platform in one.platforms:
            why = one.refuses(layer) or one.worse(layer) or _failed(one, layer)
            if not why:
                return Choice(name, "; ".join(dict.fromkeys(against)), layer.window)
            against.append(why)
    raise AssertionError("einsum takes everything")


def _failed(one: Implementation, layer: Layer) -> _Reason:
    """What a trial on the device says; nothing where programs are made for another one."""
    if not one.tried or layer.platform != _here():
        return ""
    return trial(one.attend, layer.dtype, layer.head_dim, layer.window)


def _impossible(one: Implementation, layer: Layer, interpret: bool) -> _Reason:
    if layer.platform not in one.platforms and not interpret:
        return f"it is for {' and '.join(one.platforms)}, not for {layer.platform}"
    return one.refuses(layer)


def plan(
    config: EncoderConfig, dtype: DTypeLike, length: int, *, drops: bool, asked: str = AUTO, interpret: bool = False
) -> dict[int | None, Choice]:
    """What the layers of an encoder get, by their window, on the device that programs are made for.

    Args:
        config: of the encoder.
        dtype: that it computes in.
        length: columns of the rows.
        drops: whether dropout is on.
        asked, interpret: as `choose` takes them.
    """
    made = {}
    for window in dict.fromkeys(config.windows):
        layer = Layer(
            platform=platform(),
            dtype=jax.numpy.dtype(dtype).name,
            head_dim=config.head_dim,
            length=length,
            # One that reaches over the whole row is none.
            window=None if window is None or window >= length - 1 else window,
            relative=config.relative_kind,
            drops=drops and config.attention_dropout > 0,
        )
        made[window] = choose(layer, asked, interpret=interpret)
    return made


def told(config: EncoderConfig, choices: Mapping[int | None, Choice]) -> str:
    """One line for the screen: which layers use what, and why."""
    counts = Counter(choices[window] for window in config.windows)
    parts = []
    for choice, count in counts.items():
        where = "" if choice.window is None else f" with a window of {choice.window}"
        why = f" ({choice.why})" if choice.why else ""
        parts.append(f"{count} layer{'s' * (count > 1)}{where} by {choice.name}{why}")
    return f"attention: {', '.join(parts)}"


_MADE_FOR: ContextVar[str | None] = ContextVar("made_for", default=None)


@contextmanager
def made_for(platform: str) -> Iterator[None]:
    """Programs traced meanwhile choose as for another platform, so that they can be lowered for it."""
    token = _MADE_FOR.set(platform)
    try:
        yield
    finally:
        _MADE_FOR.reset(token)


def platform() -> str:
    """What programs are made for: "cpu", "gpu" or "tpu"."""
    return _MADE_FOR.get() or _here()


def _here() -> str:
    device = getattr(jax.config, "jax_default_device", None)  # made when jax is imported
    found = jax.default_backend() if device is None else getattr(device, "platform", device)
    return {"cuda": "gpu", "rocm": "gpu"}.get(str(found), str(found))
