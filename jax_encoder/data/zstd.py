"""Zstandard streams, by Python's own module from 3.14 on and before that by the package zstandard."""

import importlib
import io
from typing import Any

from jax_encoder.errors import InputError


def opened(raw: io.BufferedReader) -> io.BufferedIOBase:
    """What a compressed stream holds.

    Raises:
        InputError: nothing that can read it is installed.
    """
    if own := _module("compression.zstd"):
        return own.ZstdFile(raw)
    if package := _module("zstandard"):
        reader = package.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        return io.BufferedReader(reader)
    raise InputError(f"{raw.name}: zstd is read by zstandard: pip install 'jax-encoder[text]'")


def errors() -> tuple[type[Exception], ...]:
    """What reading a damaged stream raises."""
    found = [_module("compression.zstd"), _module("zstandard"), _module("zlib")]
    names = ("ZstdError", "error")
    return tuple(getattr(one, name) for one in found if one for name in names if hasattr(one, name))


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
