"""Where everything of one run lies."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from jax_encoder import versions
from jax_encoder.commands.called import called_as
from jax_encoder.config import EncoderConfig
from jax_encoder.data.files import written_whole
from jax_encoder.errors import InputError
from jax_encoder.training.config import PretrainConfig


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
        """Raises InputError if something lies at `path` already.

        An empty folder is nothing, nor is that of a run that was stopped before its first step: it is written over.
        """
        empty = not path.exists() or (path.is_dir() and next(path.iterdir(), None) is None)
        if not empty and not cls(path).unfinished.exists():
            raise InputError(
                f"{path} exists already: name another folder with --run, delete this one, or go on with the run in it: "
                + resume_command(path)
            )

    @classmethod
    def create(cls, path: Path) -> "RunFolder":
        """Makes a folder for a new run, which is unfinished until `finish` says otherwise.

        Raises:
            InputError: something is there already, or the folder cannot be made.
        """
        cls.check_free(path)
        folder = cls(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            # First of all, and at once there: what it says may be cut off.
            folder.unfinished.write_text(f"{called_as()} {shlex.join(sys.argv[1:])}\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"cannot make the run folder {path}: {error.strerror}") from None
        return folder

    def finish(self) -> None:
        """Says that the folder holds all that a first step needs."""
        self.unfinished.unlink()

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Finds a run.

        Raises:
            InputError: there is no such folder, or no run in it.
        """
        folder = cls(path)
        if not path.is_dir():
            raise InputError(f"no folder {path}: name the folder of a run")
        if folder.unfinished.exists():
            begun = folder.unfinished.read_text(encoding="utf-8", errors="replace").strip()
            raise InputError(f"{path} was stopped before its first step: the same command begins again\n  {begun}")
        if not folder.config.is_file():
            raise InputError(f"{path} has no config.json: it is not the folder of a run, or of one that never started")
        return folder

    def write_config(self, training: PretrainConfig, encoder: EncoderConfig) -> None:
        """Saves all that a run was told."""
        values = {"training": training.to_dict(), "encoder": json.loads(encoder.to_json())}
        self.write_json(self.config, values)

    def encoder_text(self) -> str:
        """The encoder's config as it was saved, whatever version that was."""
        return json.dumps(json.loads(self.config.read_text(encoding="utf-8"))["encoder"], indent=2) + "\n"

    def version(self) -> int:
        """Of the options as they were saved; the first version wrote none."""
        return json.loads(self.config.read_text(encoding="utf-8"))["training"].get(versions.KEY, 1)

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
        with written_whole(path) as temporary:
            temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def resume_command(path: Path) -> str:
    """What to type to go on with the run in a folder."""
    return f"{called_as()} resume {shlex.quote(str(path))}"


def replay_command(path: Path) -> str:
    """What to type to run a step again that a run has kept."""
    return f"{called_as()} replay {shlex.quote(str(path))}"
