"""Checkpoints that say whether they are whole.

Orbax writes a checkpoint under another name and renames it, so that none is ever half there. What happens to its files
afterwards it cannot know: beside each lies a list of their checksums, in the form that `sha256sum -c` reads.
"""

import contextlib
import hashlib
import json
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import orbax.checkpoint as ocp

from jax_encoder.data.files import DiskFullError, full_disk_told, reserve, written_whole
from jax_encoder.errors import InputError
from jax_encoder.training import processes
from jax_encoder.training.step import TrainState

_NAME = re.compile(r"step_(\d{8,})")
_LIST_SUFFIX = ".sha256"
_OVERHEAD = 2**18  # bytes, beside the arrays


class Restored(NamedTuple):
    """A state, and what was passed over to get to it: one line per newer checkpoint that is not whole."""

    state: TrainState
    passed_over: tuple[str, ...]


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they lie; made when the first is saved.
        keep: how many of the newest to keep.
    """

    def __init__(self, folder: Path, *, keep: int):
        self.folder, self.keep = folder.absolute(), keep

    def steps(self) -> list[int]:
        """Steps that have a checkpoint, whole or not, oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(int(match[1]) for path in self.folder.iterdir() if (match := _NAME.fullmatch(path.name)))

    def newest(self) -> int:
        """The newest step that has a checkpoint; one must be there."""
        return self.steps()[-1]

    def save(self, state: TrainState) -> None:
        """Saves a state under its step, then deletes all but the newest `keep` up to that step.

        Killed at any moment, this leaves the checkpoints that were there before, or the new one too. Of several
        processes each writes its shares, and all have to take part.

        Raises:
            DiskFullError: there is no room; the checkpoints that were there before are.
        """
        step = int(state.step)
        path, checksums = self._paths(step)
        if processes.leads():
            checksums.unlink(missing_ok=True)
            self.folder.mkdir(parents=True, exist_ok=True)
            # Tried first: Orbax's threads go on for a while after one of them found no room, and print what they find.
            reserve(path, sum(leaf.nbytes for leaf in jax.tree.leaves(state)) + _OVERHEAD)
        try:
            with full_disk_told(path), _threads_hushed(), ocp.StandardCheckpointer() as checkpointer:
                checkpointer.save(path, _as_dict(state), force=True)
            if processes.leads():
                with written_whole(checksums) as temporary:
                    temporary.write_text("".join(f"{sum_}  {name}\n" for name, sum_ in _checksums(path).items()))
        except DiskFullError:
            self._remove(step)
            raise
        if processes.leads():
            self._prune(step)
        processes.together(f"the checkpoint of step {step}")

    def restore(self, like: TrainState) -> Restored:
        """Loads the newest whole checkpoint.

        Args:
            like: arrays or shapes and dtypes that the saved state must have, each on its device.

        Raises:
            InputError: there is none, none that is whole, or the newest whole one is of another model or optimizer.
        """
        step, passed_over = json.loads(processes.by_lead("newest whole checkpoint", lambda: json.dumps(self._newest())))
        if step is not None:
            return Restored(self._load(step, like), tuple(passed_over))
        if not passed_over:
            raise InputError(f"no checkpoint in {self.folder}: there is nothing to resume; start a new run")
        raise InputError("\n".join([f"no whole checkpoint in {self.folder}: start a new run", *passed_over]))

    def _newest(self) -> tuple[int | None, list[str]]:
        """The newest step with a whole checkpoint, and what was passed over to get to it."""
        passed_over: list[str] = []
        for step in reversed(self.steps()):
            damage = self.damage(step)
            if damage is None:
                return step, passed_over
            passed_over.append(f"the checkpoint of step {step} is damaged: {damage}")
        return None, passed_over

    def damage(self, step: int) -> str | None:
        """What is wrong with a checkpoint, or None if every file is as it was written."""
        path, checksums = self._paths(step)
        try:
            expected = dict(line.split("  ", 1)[::-1] for line in checksums.read_text(encoding="utf-8").splitlines())
        except FileNotFoundError:
            return f"{checksums.name} is missing; it is written last"
        except ValueError:
            return f"{checksums.name} is not a list of checksums"
        found = _checksums(path)
        for name, checksum in expected.items():
            if name not in found:
                return f"{name} is missing"
            if found[name] != checksum:
                return f"{name} is not what was written"
        return None if expected else f"{checksums.name} is empty"

    def _load(self, step: int, like: TrainState) -> TrainState:
        """Reads a whole checkpoint, after a look at what is in it: Orbax would fail in a shower of tracebacks."""
        path, _ = self._paths(step)
        leaves = _as_dict(like)
        with ocp.StandardCheckpointer() as checkpointer:
            saved = {name: (leaf.shape, leaf.dtype) for name, leaf in checkpointer.metadata(path).item_metadata.items()}
            wanted = {name: (leaf.shape, leaf.dtype) for name, leaf in leaves.items()}
            for name in sorted(saved.keys() | wanted.keys()):
                if saved.get(name) != wanted.get(name):
                    raise InputError(
                        f"the checkpoint of step {step} does not fit this run's config.json: {name} is saved as "
                        f"{saved.get(name)} and wanted as {wanted.get(name)} (shape, dtype)"
                    )
            leaves = checkpointer.restore(path, leaves)
        return jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in _as_dict(like)])

    def _paths(self, step: int) -> tuple[Path, Path]:
        path = self.folder / f"step_{step:08d}"
        return path, path.with_name(path.name + _LIST_SUFFIX)

    def _remove(self, step: int) -> None:
        """Deletes what there is of one step: room for what comes next."""
        name = self._paths(step)[0].name
        for path in self.folder.iterdir():
            if path.name.removeprefix(".").startswith(name):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def _prune(self, newest: int) -> None:
        """Deletes older checkpoints, those of a future that was damaged and left, and what was never finished."""
        kept = {self._paths(step)[0].name for step in [s for s in self.steps() if s <= newest][-self.keep :]}
        for path in self.folder.iterdir():
            # Orbax and `written_whole` put something behind the name of what is not finished, or a dot before it.
            if path.name.removesuffix(_LIST_SUFFIX) in kept or not _NAME.match(path.name.removeprefix(".")):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


@contextlib.contextmanager
def _threads_hushed() -> Iterator[None]:
    """Orbax's threads print the traceback of what is then raised here as well."""
    before = threading.excepthook
    threading.excepthook = lambda _: None
    try:
        yield
    finally:
        threading.excepthook = before


def _checksums(path: Path) -> dict[str, str]:
    """SHA-256 of every file of a checkpoint, by its name relative to the checkpoint's parent."""
    sums = {}
    for file in sorted(path.rglob("*")):
        if file.is_file():
            with file.open("rb") as stream:
                sums[file.relative_to(path.parent).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return sums


def _as_dict(state: TrainState) -> dict:
    # Orbax forgets the types of tuples; a flat dictionary by path is the same on both ways.
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state)}
