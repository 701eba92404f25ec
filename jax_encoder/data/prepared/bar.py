"""How far a long task is: a bar on a terminal, a line now and then elsewhere."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_SECONDS = 30.0  # between two lines


class Bar:
    """Shows one task.

    Args:
        console: where to.
        name: what is done.
        total: of whatever is counted.
    """

    def __init__(self, console: Console, name: str, total: int):
        self.console, self.name, self.total = console, name, max(1, total)
        self._progress = Progress(
            TextColumn(name),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            expand=True,
        )
        self._task = self._progress.add_task("", total=self.total)
        self._told = time.monotonic()

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def at(self, count: int) -> None:
        """Shows that so much is done."""
        self._progress.update(self._task, completed=min(count, self.total))
        if not self.console.is_terminal and time.monotonic() - self._told >= _SECONDS:
            self._told = time.monotonic()
            self.console.print(f"{self.name}: {count / self.total:.0%}", highlight=False)
