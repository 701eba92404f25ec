"""How programs are compiled for a check, and given back before Linux runs out of places for them."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

Options = Mapping[str, bool | int | str]

# LLVM's passes and XLA's newer emitters of fused loops take most of a check and change no value. Both are private
# options of a backend: jax 0.11.2's XLA has the newer emitters alone, and no longer knows the second.
QUICKLY: Options = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
# What draws a hundred million values runs forty times as long otherwise, whatever the process asks for everywhere.
WELL: Options = {"xla_backend_optimization_level": 3}


def well(function: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.jit`, told what XLA knows of `WELL`."""
    return jax.jit(function, compiler_options=known(WELL))


def quickly(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """`jax.jit`, told what XLA knows of `QUICKLY`; XLA is asked at the first call, so that a module may call this."""

    @functools.cache
    def jitted() -> Callable[..., Any]:
        return jax.jit(function, compiler_options=known(QUICKLY), **options)

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        return jitted()(*arguments, **named)

    return call


def compiled_quickly(lowered: Any) -> Any:
    """`lowered.compile()`, told what XLA knows of `QUICKLY`."""
    return lowered.compile(compiler_options=known(QUICKLY))


def known(options: Options) -> dict[str, bool | int | str]:
    """What the default backend's compiler takes of its private options, which come and go with its releases."""
    return {name: value for name, value in options.items() if _takes(jax.default_backend(), name, value)}


@functools.cache
def _takes(platform: str, name: str, value: bool | int | str) -> bool:
    # JAX has no list of them. The compiler refuses the smallest program in milliseconds.
    try:
        jax.jit(lambda: 0, compiler_options={name: value}).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


# JAX keeps every program that it has compiled, each in memory maps of its own, and Linux gives a process 65,530 of
# these (vm.max_map_count). A search over random encoders came to that in ten minutes, and nothing compiled any more.
_MAPS = 30_000


def give_back(limit: int = _MAPS) -> None:
    """Forgets what was compiled once the process has more than `limit` memory maps, where the system tells how many."""
    try:
        maps = Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:
        return
    if maps > limit:
        jax.clear_caches()
