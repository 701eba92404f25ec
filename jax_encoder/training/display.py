"""What a run shows while it works: a progress bar on a terminal, plain lines elsewhere."""

from collections import deque

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jax_encoder.training.metrics import Record

# A line every twentieth of the run, where there is no terminal.
_LINES = 20
# Steps over which the shown throughput is averaged.
_WINDOW = 20


class Display:
    """Shows steps as they are measured.

    Args:
        console: where to.
        steps: of the whole run.
        start: steps made before.
    """

    def __init__(self, console: Console, *, steps: int, start: int):
        self.console, self.steps = console, steps
        self._recent: deque[tuple[int, float]] = deque(maxlen=_WINDOW)
        self._progress = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=None),
            TextColumn("loss {task.fields[loss]}  lr {task.fields[rate]}  {task.fields[speed]} tokens/s"),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not console.is_terminal,
            expand=True,
        )
        self._task = self._progress.add_task("", total=steps, completed=start, loss="-", rate="-", speed="-")

    def __enter__(self) -> "Display":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def step(self, step: int, values: Record) -> None:
        """Shows one training step, given what metrics.jsonl holds of it."""
        self._recent.append((int(values["tokens"]), float(values["seconds"])))
        loss = "-" if values["loss"] is None else f"{values['loss']:.3f}"
        rate, speed = f"{values['learning_rate']:.2e}", self._speed()
        self._progress.update(self._task, completed=step, loss=loss, rate=rate, speed=speed)
        if not self.console.is_terminal and (step % max(1, self.steps // _LINES) == 0 or step == self.steps):
            self.note(f"step {step}/{self.steps}  loss {loss}  lr {rate}  {speed} tokens/s")

    def note(self, text: str) -> None:
        """Prints a line, above the bar if there is one."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _speed(self) -> str:
        seconds = self._recent[-1][1] - self._recent[0][1]
        tokens = sum(tokens for tokens, _ in list(self._recent)[1:])
        return f"{tokens / seconds:,.0f}" if seconds > 0 else "-"
