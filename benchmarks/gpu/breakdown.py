"""Where a step's device time goes, by the names of what ran."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import jax

# The first pattern that a kernel's name matches says its kind; XLA names fusions after what they hold.
_KINDS = (
    ("products", r"gemm|cutlass|cublas|xmma|nvjet|wgmma|^dot|_dot_|cudnn.*conv"),
    ("attention kernels", r"flash|fmha|attention|cudnn"),
    ("random bits", r"rng|random|philox|threefry"),
    ("copies", r"memcpy|copy|memset|transpose"),
    ("reductions", r"reduce"),
    ("scatter and gather", r"scatter|gather|dynamic"),
    ("other fusions", r"fusion|loop|input|wrapped"),
)
_LONGEST = 12


def of_folder(folder: str, *, steps: int) -> dict[str, dict[str, float]]:
    """Milliseconds a step by kind, and of the longest operations by name, of the newest profile below `folder`.

    Raises:
        FileNotFoundError: there is no profile.
    """
    profiles = sorted(Path(folder).rglob("*.xplane.pb"), key=lambda path: path.stat().st_mtime)
    if not profiles:
        raise FileNotFoundError(f"no *.xplane.pb below {folder}")
    events = list(_device_events(jax.profiler.ProfileData.from_file(str(profiles[-1]))))
    return summed(events, steps=steps)


def summed(events: Iterable[tuple[str, float]], *, steps: int) -> dict[str, dict[str, float]]:
    """Adds up (name, nanoseconds) of `steps` steps.

    >>> summed([("nvjet_hsh_1", 2e6), ("loop_fusion.3", 1e6), ("loop_fusion.4", 1e6)], steps=2)["kinds"]
    {'products': 1.0, 'other fusions': 1.0}
    """
    kinds: defaultdict[str, float] = defaultdict(float)
    names: defaultdict[str, float] = defaultdict(float)
    for name, nanoseconds in events:
        milliseconds = 1e-6 * nanoseconds / steps
        kinds[kind_of(name)] += milliseconds
        names[re.sub(r"[._]?\d+$", "", name)[:80]] += milliseconds
    return {"kinds": _longest(kinds), "longest": dict(list(_longest(names).items())[:_LONGEST])}


def _longest(times: dict[str, float]) -> dict[str, float]:
    return dict(sorted(times.items(), key=lambda item: -item[1]))


def kind_of(name: str) -> str:
    """What kind of operation has this name."""
    return next((kind for kind, pattern in _KINDS if re.search(pattern, name, flags=re.IGNORECASE)), "rest")


def _device_events(profile: "jax.profiler.ProfileData") -> Iterable[tuple[str, float]]:
    """What ran on the device: of a GPU the kernels of its streams, of a CPU what its threads ran for XLA."""
    planes = list(profile.planes)
    devices = [plane for plane in planes if plane.name.startswith("/device:GPU")]
    for plane in devices or [plane for plane in planes if plane.name == "/host:CPU"]:
        for line in plane.lines:
            # Beside its streams a GPU has lines that sum the same time up by module and by operation.
            if line.name.startswith("Stream") if devices else "XLA" in line.name:
                for event in line.events:
                    yield event.name, event.duration_ns
