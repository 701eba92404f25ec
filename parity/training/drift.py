"""How far two training runs drift apart, drawn by step."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_COLOURS = {"JAX float32": "#4c78a8", "torch float32": "#d1495b", "JAX float64": "#2f7d4f"}
_UNITS = {"loss": "loss: difference in nats", "parameters": "parameters: distance over their norm"}


def drift_plot(curves: Mapping[str, Sequence[float]]) -> Figure:
    """Draws the curves of `parity.training.follow.follow`: distances from the reference in float64, by step."""
    figure = Figure(figsize=(8, 6.4), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    for row, (measure, label) in enumerate(_UNITS.items()):
        axes = figure.add_subplot(2, 1, row + 1)
        for run, colour in _COLOURS.items():
            values = curves[f"{measure}, {run}"]
            # A distance of exactly 0 has no place on a logarithmic axis.
            shown = [value or math.nan for value in values]
            axes.plot(
                range(1, len(values) + 1), shown, color=colour, linewidth=1.2, marker=".", markersize=3, label=run
            )
        axes.set_yscale("log")
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.2)
    axes.set_xlabel("step")
    axes.legend(frameon=False, title="distance from torch float64")
    return figure


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG."""
    figure.savefig(path, format="png")


def summary(curves: Mapping[str, Sequence[float]]) -> str:
    """Where the curves end, in words."""
    lines = ["distance from torch in float64 after the last step:"]
    width = max(map(len, curves), default=0)
    lines += [f"  {name:<{width}}  {values[-1]:.1e}" for name, values in curves.items()]
    return "\n".join(lines)
