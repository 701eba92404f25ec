"""Where everything of one run lies."""

import contextlib
import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jax_encoder import versions
from jax_encoder.commands.called import called_as
from jax_encoder.config import EncoderConfig
from jax_encoder.data import lock
from jax_encoder.data.files import write_json
from jax_encoder.errors import InputError
from jax_encoder.training import manifest
from jax_encoder.training.config import PretrainConfig

_SEALED = 4  # the first version of a run's options whose folders have a manifest


class RunFolder:
    """The files of a run, by what they are for."""

    def __init__(self, path: Path):
        self.path = path
        self.unfinished = path / "unfinished.txt"
        self.config = path / "config.json"
        self.tokenizer = path / "tokenizer.json"
        self.tokenizer_report = path / "tokenizer-report.json"
        self.rows = path / "rows"
        self.prepared = path / "prepared.json"
        self.baselines = path / "baselines.json"
        self.checkpoints = path / "checkpoints"
        self.metrics = path / "metrics.jsonl"
        self.manifest = path / manifest.NAME
        self.tensorboard = path / "tensorboard"
        self.loss_plot = path / "loss.png"
        self.parity_json = path / "parity.json"
        self.parity_text = path / "parity.txt"
        self.parity_output = path / "parity-output.txt"

    def kept_step(self, step: int) -> Path:
        """Where a step lies that a run could not go on from."""
        return self.path / "stopped" / f"step_{step:08d}"

    @classmethod
    def check_free(cls, path: Path) -> None:
        """Refuses a path where something lies already.

        An empty folder is nothing, nor is that of a run that was stopped before its first step: it is written over.

        Raises:
            InputError: there is something, or another process makes a run there.
        """
        if not path.exists() or (path.is_dir() and next(path.iterdir(), None) is None):
            return
        if path.is_dir() and any(lock.is_lock(file.name) for file in path.iterdir()):
            with lock.held(path, "pretrain"):
                pass
        ours = {"folder.lock", "folder.lock.json"}
        if not cls(path).unfinished.exists() and not (path.is_dir() and {one.name for one in path.iterdir()} <= ours):
            raise InputError(
                f"{path} exists already: name another folder with --run, delete this one, or go on with the run in it: "
                + resume_command(path)
            )

    @classmethod
    @contextlib.contextmanager
    def create(cls, path: Path) -> Iterator["RunFolder"]:
        """Makes a folder for a new run, which is unfinished until `finish` says otherwise, and keeps it to this process
        within the block.

        Raises:
            InputError: something is there already, or the folder cannot be made.
        """
        cls.check_free(path)
        folder = cls(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the run folder {path}: {error.strerror}") from None
        with lock.held(path, "pretrain"):
            cls.check_free(path)
            try:
                # First of all, and at once there: what it says may be cut off.
                folder.unfinished.write_text(f"{called_as()} {shlex.join(sys.argv[1:])}\n", encoding="utf-8")
            except OSError as error:
                raise InputError(f"cannot write into the run folder {path}: {error.strerror}") from None
            for left in (*folder.static(), folder.manifest):
                left.unlink(missing_ok=True)
            yield folder

    def finish(self) -> None:
        """Says that the folder holds all that a first step needs."""
        self.unfinished.unlink()

    def static(self) -> list[Path]:
        """The files that do not change any more once a run has begun, of those that there are."""
        files = (self.config, self.tokenizer, self.tokenizer_report, self.prepared, self.baselines)
        return [path for path in (*files, *sorted(self.rows.glob("*.npy"))) if path.is_file()]

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Finds a run, and compares its files with what was written.

        Raises:
            InputError: there is no such folder, no run in it, or a file that is missing or damaged.
        """
        folder = cls(path)
        if not path.is_dir():
            raise InputError(f"no folder {path}: name the folder of a run")
        if folder.unfinished.exists():
            begun = folder.unfinished.read_text(encoding="utf-8", errors="replace").strip()
            raise InputError(f"{path} was stopped before its first step: the same command begins again\n  {begun}")
        if folder.manifest.is_file():
            manifest.check(path, metrics=folder.metrics)
        if not folder.config.is_file():
            raise InputError(f"{path} has no config.json: it is not the folder of a run, or of one that never started")
        if not folder.manifest.is_file() and any(folder.checkpoints.glob("*.sha256")) and folder.version() >= _SEALED:
            raise InputError(f"{folder.manifest} is missing: put it back as it was, or start a new run")
        return folder

    @classmethod
    @contextlib.contextmanager
    def keep(cls, path: Path, task: str) -> Iterator["RunFolder"]:
        """Finds a run as `open` does, and keeps it to this process within the block.

        Args:
            path: folder of the run.
            task: what is done with it; an export of what nobody may write to needs no lock.

        Raises:
            InputError: as `open`, or another process has the run.
        """
        with contextlib.ExitStack() as stack:
            if cls(path).config.is_file() and (task != "export" or os.access(path, os.W_OK)):
                stack.enter_context(lock.held(path, task))
            yield cls.open(path)

    def seal(self) -> None:
        """Writes the manifest of all that will not change any more."""
        manifest.seal(self.path, self.static())

    def write_config(self, training: PretrainConfig, encoder: EncoderConfig) -> None:
        """Saves all that a run was told."""
        values = {"training": training.to_dict(), "encoder": json.loads(encoder.to_json())}
        self.write_json(self.config, values)

    def encoder_text(self) -> str:
        """The encoder's config as it was saved, whatever version that was."""
        return json.dumps(json.loads(self.config.read_text(encoding="utf-8"))["encoder"], indent=2) + "\n"

    def version(self) -> int:
        """Of the options as they were saved; the first version wrote none, nor does what `read_config` will refuse."""
        try:
            return int(json.loads(self.config.read_text(encoding="utf-8"))["training"].get(versions.KEY, 1))
        except (ValueError, KeyError, TypeError, AttributeError):
            return 1

    def read_config(self) -> tuple[PretrainConfig, EncoderConfig]:
        """Reads what `write_config` saved.

        Raises:
            InputError: the file is damaged, or from a newer version.
        """
        try:
            values = json.loads(self.config.read_text(encoding="utf-8"))
            training = PretrainConfig.from_dict(values["training"], run=str(self.path))
            return training, EncoderConfig.from_json(self.encoder_text())
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self.config} cannot be read as the config of a run: {error}") from None

    @staticmethod
    def write_json(path: Path, values: Any) -> None:
        """Writes a small file for people and programs."""
        write_json(path, values)


def resume_command(path: Path) -> str:
    """What to type to go on with the run in a folder."""
    return f"{called_as()} resume {shlex.quote(str(path))}"


def replay_command(path: Path) -> str:
    """What to type to run a step again that a run has kept."""
    return f"{called_as()} replay {shlex.quote(str(path))}"
