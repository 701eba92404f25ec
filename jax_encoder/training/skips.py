"""Steps that were left out because their loss or a gradient was not finite: how many in all, and in a row."""

import math

from jax_encoder.training.metrics import Record


class Skips:
    """Counts them as their metrics are read.

    Args:
        bound: so many in a row are too many.
        before: the training records of a run that goes on, oldest first.
    """

    def __init__(self, bound: int, before: list[Record]):
        self._bound = bound
        self._steps: list[tuple[int, str]] = []  # those in a row, and what was not finite
        self.total = 0
        for record in before:
            self._count(record["step"], record)

    @property
    def too_many(self) -> bool:
        """Whether the bound is reached."""
        return len(self._steps) >= self._bound

    @property
    def waits(self) -> bool:
        """Whether every step is to be read before the next begins, which could move what the run has to keep."""
        return len(self._steps) > 0 or self._bound == 1

    def add(self, step: int, values: Record) -> str | None:
        """Counts one step; returns what to say of it, if it was left out.

        Numbers that are not finite become None in `values`: JSON has no others.
        """
        self._count(step, values)
        left_out = bool(values["skipped"])
        values |= {name: None for name, value in values.items() if not math.isfinite(value)}
        if not left_out:
            return None
        return f"step {step}: {self._steps[-1][1]}; it moves nothing ({len(self._steps)} in a row, {self.total} in all)"

    def told(self) -> str:
        """Which steps in a row were left out, and why the last one was."""
        first, (last, why) = self._steps[0][0], self._steps[-1]
        if first == last:
            return f"{why} at step {last}"
        return f"{why} at step {last}, and in all {len(self._steps)} steps from {first} on a number is not finite"

    def _count(self, step: int, values: Record) -> None:
        # Versions before 4 of a run's options stopped at the first, and wrote no such number.
        if not values.get("skipped", 0):
            self._steps.clear()
            return
        self.total += 1
        for name in ("loss", "grad_norm"):
            value = values[name]
            if value is None or not math.isfinite(value):
                self._steps.append((step, f"{name} is {'not finite' if value is None else value}"))
                break
