"""loss.png: how training and held-out loss fell, beside what counting words would reach."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jax_encoder.data.files import written_whole
from jax_encoder.training.metrics import Record

_TRAIN, _HELD_OUT, _BASELINE = "#4c78a8", "#d1495b", "#6b6b6b"
# The line is an exponential mean over about this many steps; the steps themselves are drawn faint behind it.
_SMOOTHING = 15


def loss_plot(train: list[Record], held_out: list[Record], baselines: dict[str, float]) -> Figure:
    """Draws the losses of a run; `baselines` maps a name to a held-out loss."""
    figure = Figure(figsize=(8, 4.8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    measured = [r for r in train if r["loss"] is not None]
    steps, losses = [r["step"] for r in measured], [r["loss"] for r in measured]
    axes.plot(steps, losses, color=_TRAIN, alpha=0.2, linewidth=0.8)
    axes.plot(steps, _smooth(losses), color=_TRAIN, linewidth=1.8, label="training")
    axes.plot(
        [r["step"] for r in held_out],
        [r["loss"] for r in held_out],
        color=_HELD_OUT,
        linewidth=1.8,
        marker="o",
        markersize=4,
        label="held out",
    )
    for name, loss in baselines.items():
        axes.axhline(loss, color=_BASELINE, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(
            f"{name} {loss:.2f}",
            (1, loss),
            (-4, 3),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            horizontalalignment="right",
            color=_BASELINE,
            fontsize=9,
        )
    axes.set_xlabel("step")
    axes.set_ylabel("masked cross-entropy, nats per token")
    axes.set_xlim(0, max(steps, default=1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.2)
    axes.legend(frameon=False, loc="upper right", bbox_to_anchor=(1, 0.98))
    return figure


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG, whole or not at all."""
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png")


def _smooth(values: list[float]) -> list[float]:
    """Exponential mean, corrected for its start."""
    decay, total, weight, smoothed = 1 - 1 / _SMOOTHING, 0.0, 0.0, []
    for value in values:
        total, weight = decay * total + value, decay * weight + 1
        smoothed.append(total / weight)
    return smoothed
