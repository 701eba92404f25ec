"""`jax-encoder encode`."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jax_encoder.commands.called import notes_shown
from jax_encoder.data.files import written_whole
from jax_encoder.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encode:
    """Turns texts, one a line, into vectors, as the checkpoint's sentence-transformers files say; without such files,
    into the mean of their tokens' vectors. Writes a .npy file with one row of float32 a line."""

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """UTF-8 text. An empty line is an empty text, so that rows and lines have the same numbers."""
    model: Annotated[str, tyro.conf.arg(metavar="DIR")]
    """Folder of a published checkpoint, or its name on the Hugging Face hub where huggingface_hub is installed."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.npy")] = None
    """Where to write; FILE with .npy behind it, if left out."""
    batch_size: int = 32
    """Rows of 64 tokens that are computed at once."""
    prompt: str | None = None
    """Stands before every text, instead of the folder's default."""
    prompt_name: str | None = None
    """Name of one of the folder's prompts."""
    task: str | None = None
    """Which of several routes the texts take, as in query or document."""
    truncate_dim: int | None = None
    """How many numbers of each vector to keep."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the computation."""
    force: bool = False
    """Replace the file that is written, if it exists."""
    allow_pickle: bool = False
    """Read pickled weights, where there are no others, through torch's reader of weights only."""

    def run(self) -> int:
        """Returns the exit status."""
        if self.batch_size < 1:
            raise InputError(f"--batch-size must be at least 1, got {self.batch_size}")
        texts, out = read_lines(self.file), self._out()

        import numpy as np

        from jax_encoder.encode import TextEncoder

        with notes_shown():
            encoder = TextEncoder.from_pretrained(
                self.model,
                dtype=self.dtype,
                task=self.task,
                truncate_dim=self.truncate_dim,
                allow_pickle=self.allow_pickle,
            )
        with _bar(len(texts)) as advance:
            start = time.perf_counter()
            vectors = encoder.encode(
                texts, self.batch_size, prompt=self.prompt, prompt_name=self.prompt_name, progress=advance
            )
            seconds = time.perf_counter() - start
        try:
            with written_whole(out) as temporary, temporary.open("wb") as stream:
                np.save(stream, vectors, allow_pickle=False)
        except OSError as error:
            raise InputError(f"--out {out}: cannot be written: {error.strerror}") from None
        print(f"{out}: {len(texts):,} texts, {encoder.width} numbers each, {len(texts) / seconds:,.0f} texts/s")
        return 0

    def _out(self) -> Path:
        """Where to write, refused before anything is computed for it."""
        out = self.file.with_name(self.file.name + ".npy") if self.out is None else self.out
        if out.is_dir() or not out.absolute().parent.is_dir():
            raise InputError(f"--out {out}: must name a file in a folder that exists")
        if out.exists() and not self.force:
            raise InputError(f"{out} exists already: name another file with --out, or replace it with --force")
        return out


def read_lines(path: Path) -> list[str]:
    """Reads texts, one a line.

    Raises:
        InputError: no such file, or not UTF-8.
    """
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    texts = []
    for number, line in enumerate(lines, start=1):
        try:
            texts.append(line.removesuffix(b"\r").decode("utf-8"))
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}, line {number}: not UTF-8: byte 0x{line[error.start]:02x}; convert the file to UTF-8"
            ) from None
    return texts[:-1] if not texts[-1] else texts  # the last line's end begins no other


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on the error stream while that is a terminal; what it gives is called with how many texts are done."""
    columns = TextColumn("texts"), MofNCompleteColumn(), BarColumn(bar_width=None), TimeRemainingColumn(compact=True)
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.update(task, advance=count)
