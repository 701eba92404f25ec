import numpy as np

from parity.training.drift import drift_plot, save, summary

CURVES = {
    "loss, JAX float64": (0.0, 1e-15),
    "parameters, JAX float64": (1e-16, 2e-16),
    "loss, JAX float32": (1e-7, 2e-7),
    "parameters, JAX float32": (1e-8, 2e-8),
    "loss, torch float32": (3e-7, 4e-7),
    "parameters, torch float32": (3e-8, 4e-8),
}


def test_every_curve_is_drawn_and_zero_has_no_place(tmp_path):
    figure = drift_plot(CURVES)
    assert [len(axes.lines) for axes in figure.axes] == [3, 3]
    drawn = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    np.testing.assert_array_equal(drawn["JAX float64"], [np.nan, 1e-15])
    np.testing.assert_array_equal(drawn["torch float32"], [3e-7, 4e-7])
    save(figure, tmp_path / "drift.png")
    assert (tmp_path / "drift.png").read_bytes().startswith(b"\x89PNG")


def test_the_summary_is_of_the_last_step():
    assert summary(CURVES).splitlines()[:3] == [
        "distance from torch in float64 after the last step:",
        "  loss, JAX float64          1.0e-15",
        "  parameters, JAX float64    2.0e-16",
    ]
