"""How programs are compiled for a check, and given back before Linux runs out of places for them."""

from pathlib import Path

import jax

# LLVM's passes and XLA's newer emitters of fused loops take most of a check and change no value.
QUICKLY = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}


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
