"""What a CPU benchmark was measured on, and where its results go."""

import datetime
import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    *("jax", "jaxlib", "flax", "optax", "numpy", "torch", "transformers", "sentence-transformers"),
    *("keras", "keras-hub", "onnx", "onnxruntime"),
)


def described() -> dict[str, Any]:
    """Device, versions, date, and what else the machine had to do."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": _processor(),
        "cores": cores(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
    }


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def save(result: dict[str, Any], path: str | None) -> None:
    """Writes all that there is so far, where a file was asked for."""
    if path is not None:
        Path(path).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _processor() -> str:
    """The CPU's name, and the widest products that it knows."""
    try:
        described = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return f"CPU {platform.machine()} {platform.processor()}".strip()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in described)}
    flags = facts.get("flags", "").split()
    wide = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    return " ".join([facts.get("model name", f"CPU {platform.machine()}"), f"({', '.join(wide)})" if wide else ""])


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
