"""Datasets by their name at a hub, or as folders that the package datasets reads: `hf:name`, `hf:name:config`."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jax_encoder.errors import InputError

_NAME = re.compile(
    r"hf:(?P<name>[^:@#]+)(?::(?P<config>[^@#]+))?(?:@(?P<revision>[^#]+))?(?:#(?P<part>\d+)/(?P<of>\d+))?"
)


def is_hub(path: Path) -> bool:
    """Whether a name is one of a dataset, `hf:name[:config][@revision]`, or of a part of one."""
    return str(path).startswith("hf:")


def shards(name: str) -> list[Path]:
    """The parts of a dataset that can be read by themselves, as names.

    Raises:
        InputError: datasets is not installed, or has no such dataset.
    """
    count = _stream(name).num_shards
    return [Path(f"{name}#{index}/{count}") for index in range(count)]


def read(path: Path, field: str) -> Iterator[str]:
    """The texts of one part.

    Raises:
        InputError: it cannot be read, or has no such field.
    """
    match = _NAME.fullmatch(str(path))
    assert match is not None
    part = _stream(str(path)).shard(num_shards=int(match["of"]), index=int(match["part"]))
    for number, row in enumerate(part):
        if not isinstance(row.get(field), str):
            found = ", ".join(f"{name} ({type(value).__name__})" for name, value in row.items())
            raise InputError(f'{path}, row {number}: expected a string under "{field}", got {found}; see --text-field')
        yield row[field]


def _stream(name: str) -> Any:
    try:
        import datasets
    except ImportError:
        raise InputError(f"{name}: datasets of a hub are read by the package datasets: pip install datasets") from None
    match = _NAME.fullmatch(name)
    if match is None:
        raise InputError(f"{name}: expected hf:name, hf:name:config or hf:name:config@revision")
    try:
        return datasets.load_dataset(
            match["name"], match["config"], split="train", streaming=True, revision=match["revision"]
        )
    except Exception as error:  # the library raises whatever its network does
        raise InputError(f"{name}: cannot be opened: {str(error).splitlines()[0]}") from None
