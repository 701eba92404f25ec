"""Folders of small models, written once, and changed as people's are."""

import functools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from jax_encoder.sentence.read import read_sentence_form
from parity.encoder.checkpoints import load_silently
from parity.encoder.session import in_float64
from parity.judge.verdict import Report
from parity.text.bench import Bench
from parity.text.check import bench_of, check_text
from parity.text.folders import SMALL
from parity.text.library import Library
from parity.text.ours import Ours

_PLACE = tempfile.TemporaryDirectory()  # for as long as the process lasts


@functools.cache
def written(name: str) -> Path:
    """One of the small folders, not to be changed."""
    return SMALL[name].write(Path(_PLACE.name) / name)


def copied(name: str, folder: Path) -> Path:
    """One of them, to be changed."""
    return Path(shutil.copytree(written(name), folder / name))


def change(path: Path, **values: Any) -> None:
    """Other values in a file of JSON, which need not exist."""
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**content, **values}))


def bench(folder: Path, computed: int = 0) -> Bench:
    """Both sides of a folder."""
    form = read_sentence_form(folder)
    checkpoint = load_silently(form.encoder)
    with in_float64():
        return bench_of(Ours(checkpoint, form), Library(folder, checkpoint.family), computed)


def report(folder: Path, computed: int = 0) -> Report:
    """What the check says of it; by default nothing is computed, only read."""
    return check_text(str(folder), computed=computed)
