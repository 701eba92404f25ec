"""Writes the README's figures: runs the commands that it shows and puts what they print between its marks.

`make figures` does all of them; `make figures ARGS="'parity check'"` one.
"""

import os
import re
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
_WIDTH = 104  # columns of the terminal that the screen is printed on


def screen(output: str) -> str:
    """The last screen of a training run, without its frame and without the paths of what was left where."""
    lines = [line.strip("│").rstrip() for line in output.partition("training complete")[2].splitlines()[1:]]
    shown = lines[: next(number for number, line in enumerate(lines) if line.split()[:1] == ["folder"])]
    text = textwrap.dedent("\n".join(shown)).strip("\n")
    return re.sub(r"\n{3,}", "\n\n", text)


def headline(output: str) -> str:
    """The first line of a report, cut to the width of a page."""
    return textwrap.fill(output.partition("\n")[0], 116, subsequent_indent="  ", break_long_words=False)


def train() -> str:
    """What `make train` runs once it has set up `.venv`."""
    with tempfile.TemporaryDirectory() as folder:
        output, took = _run("train.py", "pretrain", "--run", str(Path(folder) / "run"))
    return f"Once `.venv` was set up, that took {took}, and ended with this screen:\n\n```\n{screen(output)}\n```"


def check() -> str:
    """The whole matrix."""
    output, took = _run("-m", "parity", "check")
    return f"That took {took}, and printed\n\n```\n{headline(output)}\n```\n\nand a row for every variant below it."


FIGURES: dict[str, Callable[[], str]] = {"make train": train, "parity check": check}


def written_into(page: str, name: str, text: str) -> str:
    """The page with another text between the marks of that name.

    Raises:
        ValueError: the page has no such marks, or has them twice.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    new, count = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{text}\n{end}", page, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"expected {begin} and {end} once, found them {count} times")
    return new


def _run(*arguments: str) -> tuple[str, str]:
    """What a command of ours prints, and how long it took, in words."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": str(_WIDTH)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    minutes, seconds = divmod(round(time.perf_counter() - start), 60)
    cores = len(os.sched_getaffinity(0))
    return done.stdout, f"{minutes} min {seconds} s on {cores} CPU core{'s' * (cores > 1)}"


def main(names: Sequence[str]) -> int:
    """Writes the named figures, or all; returns 0, or 2 for a name that is not known."""
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        print(f"no figure is called {', '.join(unknown)}; there are: {', '.join(FIGURES)}", file=sys.stderr)
        return 2
    for name in names or FIGURES:
        README.write_text(written_into(README.read_text("utf-8"), name, FIGURES[name]()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
