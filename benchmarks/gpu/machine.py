"""What it was measured on, and what its vendor says that it can do."""

import datetime
import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from jax_encoder.errors import InputError

_PACKAGES = ("jax", "jaxlib", "jax-cuda13-plugin", "flax", "optax", "numpy", "torch", "triton", "transformers")

# TFLOP/s of dense bfloat16 products accumulated in float32, by the vendor's data sheets; the first that the device's
# name contains counts.
PEAKS = {
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H100": 989.4,
    "H200": 989.4,
    "B200": 2250.0,
    "A100": 312.0,
    "L40S": 362.0,
    "A10G": 70.0,
    "L4": 121.0,
    "RTX 4090": 165.2,
}


def has_gpu() -> bool:
    """Whether an NVIDIA driver is there; no framework is asked, since it would take the card."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()


def require_accelerator(platform_name: str, *, tiny: bool) -> None:
    """Refuses to time a CPU by mistake.

    Raises:
        InputError: the framework runs on the CPU.
    """
    if platform_name == "cpu" and not tiny:
        raise InputError("this framework sees no accelerator, only the CPU: install its build for CUDA, or give --tiny")


def describe() -> dict[str, Any]:
    """Device, versions and date."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        **(_gpu() or {"device": f"CPU {platform.machine()}", "driver": None, "memory": None}),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def peak_of(device: str) -> float | None:
    """FLOP/s that the vendor claims for dense bfloat16 products; None for a device that is not in the table."""
    found = next((peak for name, peak in PEAKS.items() if name in device), None)
    return None if found is None else found * 1e12


def _gpu() -> dict[str, Any] | None:
    asked = ("name", "driver_version", "memory.total")
    command = ["nvidia-smi", f"--query-gpu={','.join(asked)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    first = done.stdout.splitlines()[0].split(", ")
    return dict(zip(("device", "driver", "memory"), first, strict=True))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
