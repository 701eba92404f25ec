"""Which parameter here is which there."""

import numpy as np
import pytest

from parity.models import weights

RANDOM = np.random.default_rng(0)
KERNELS = {f"layers.{n}.weight": RANDOM.normal(size=(6, 6)) for n in range(3)}
LABELS = ("JAX", "torch")


def problems(ours, theirs):
    return list(weights.problems(weights.match(ours, theirs), ours, theirs, LABELS))


@pytest.mark.parametrize(
    ("ours", "how"),
    [
        (lambda w: w, "the same"),
        (lambda w: w.T, "transposed"),
        (lambda w: w.reshape(12, 2), "reshaped"),
        (lambda w: w.T.reshape(6, 2, 2), "transposed and reshaped"),
        (lambda w: np.roll(w, 1, 0), "in another order"),
    ],
)
def test_layouts_are_found_and_cross_both_ways(ours, how):
    theirs = RANDOM.normal(size=(4, 6))
    mine = ours(theirs)
    (row,) = weights.match({"kernel": mine}, {"weight": theirs}).rows
    assert row.how == how
    other = RANDOM.normal(size=theirs.shape)
    assert np.array_equal(row.join([other], mine.shape), ours(other))
    assert np.array_equal(row.split(ours(other), [theirs.shape])[0], other)


def test_stacked_layers_and_joined_projections():
    stacked = np.stack([one.T for one in KERNELS.values()])
    (row,) = weights.match({"kernel": stacked}, KERNELS).rows
    assert row.parts == tuple(KERNELS)
    assert np.array_equal(row.join(list(KERNELS.values()), stacked.shape), stacked)
    (row,) = weights.match(KERNELS, {"qkv": np.concatenate(list(KERNELS.values()))}).rows
    assert (row.whole, row.ours) == ("qkv", False)
    assert [name for name, _, _ in weights.listing(weights.Table((row,)))] == [" + ".join(KERNELS)]


def test_constants_are_told_apart_by_name():
    ours = {"norm1.scale": np.ones(4), "norm2.scale": np.ones(4), "norm1.bias": np.zeros(4)}
    theirs = {"norm2.weight": np.ones(4), "norm1.bias": np.zeros(4), "norm1.weight": np.ones(4)}
    rows = {row.whole: row.parts[0] for row in weights.match(ours, theirs).rows}
    assert rows == {"norm1.scale": "norm1.weight", "norm2.scale": "norm2.weight", "norm1.bias": "norm1.bias"}
    layers = {f"layers.{n}.bias": np.zeros(4) for n in range(3)}
    (row,) = weights.match({"layers.bias": np.zeros((3, 4))}, layers).rows
    assert row.parts == tuple(layers)


def test_slips_are_told():
    turned = {name: one.T for name, one in KERNELS.items()}
    assert problems(turned, KERNELS) == []
    wrong = turned | {"layers.1.weight": KERNELS["layers.1.weight"]}
    assert problems(wrong, KERNELS) == ["layers.1.weight = layers.1.weight, not transposed, as 2 other weights are"]
    more = KERNELS | {f"layers.{n}.bias": RANDOM.normal(size=6) for n in range(3)}
    shifted = more | {"layers.0.weight": more["layers.2.weight"], "layers.2.weight": more["layers.0.weight"]}
    assert problems(shifted, more) == [
        "layers.0.weight = layers.2.weight: another layer's",
        "layers.2.weight = layers.0.weight: another layer's",
    ]


def test_what_is_missing_is_told_with_what_it_resembles():
    ours = {"bias": KERNELS["layers.0.weight"][0] * 3}
    theirs = {"bias": KERNELS["layers.0.weight"][0], "other": np.arange(5.0)}
    assert problems(ours, theirs) == [
        "JAX's bias (6,) has no equal in torch; beside bias: JAX is 3 x torch",
        "torch's bias (6,) has no equal in JAX",
        "torch's other (5,) has no equal in JAX",
    ]
    assert problems({"a": np.arange(4.0)}, {}) == ["JAX's a (4,) has no equal in torch"]
    assert problems({"a": RANDOM.normal(size=40)}, {"b": RANDOM.normal(size=40)})[0].endswith(
        "; the nearest by name is b"
    )


def test_tied_parameters_are_no_missing_ones():
    table = weights.match(
        {"words": KERNELS["layers.0.weight"]}, {"words": KERNELS["layers.0.weight"], "head": KERNELS["layers.0.weight"]}
    )
    assert table.tied == ("head",)
    assert not table.theirs


def test_drawn_values_are_the_same_on_both_sides():
    ours, theirs = (
        {"scale": np.ones(4), "kernel": KERNELS["layers.0.weight"].T},
        {"weight": np.ones(4), "w": KERNELS["layers.0.weight"]},
    )
    drawn = weights.draw(weights.match(ours, theirs), ours, theirs, np.random.default_rng(1))
    assert np.array_equal(drawn[0]["scale"], drawn[1]["weight"])
    assert np.array_equal(drawn[0]["kernel"], drawn[1]["w"].T)
    assert drawn[0]["scale"].std() > 0
    assert ours["scale"].std() == 0
