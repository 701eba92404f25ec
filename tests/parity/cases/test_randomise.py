import numpy as np
import pytest

from parity.cases.randomise import Rule, randomise
from parity.errors import MismatchError

RULES = (
    Rule(r".*\.kernel", "kernel", 64),
    Rule(r".*\.bias", "bias"),
    Rule(r".*\.scale", "scale"),
    Rule("table", "table"),
)
SHAPES = {"up.kernel": (64, 50), "up.bias": (500,), "norm.scale": (500,), "table": (40, 30)}


def test_nothing_is_zero_one_or_alike():
    drawn = randomise(SHAPES, RULES, seed=0)
    assert {name: array.shape for name, array in drawn.items()} == SHAPES
    for array in drawn.values():
        assert array.dtype == np.float64
        assert np.unique(array).size == array.size
    assert np.abs(drawn["up.bias"]).min() >= 0.1
    assert np.abs(drawn["up.bias"]).max() <= 0.5
    assert np.abs(drawn["norm.scale"] - 1).min() >= 0.1
    assert drawn["norm.scale"].min() >= 0.5
    for name, centre in (("up.bias", 0), ("norm.scale", 1)):
        assert 0.4 < (drawn[name] > centre).mean() < 0.6


def test_activations_stay_of_order_one():
    drawn = randomise(SHAPES, RULES, seed=0)
    x = np.random.default_rng(0).standard_normal((200, 64))
    assert (x @ drawn["up.kernel"]).std() == pytest.approx(1, rel=0.1)
    assert drawn["table"].std() == pytest.approx(1, rel=0.1)


def test_a_draw_depends_on_seed_and_name_only():
    drawn = randomise(SHAPES, RULES, seed=3)
    alone = randomise({"up.bias": (500,)}, RULES, seed=3)
    assert (alone["up.bias"] == drawn["up.bias"]).all()
    assert not (randomise(SHAPES, RULES, seed=4)["up.bias"] == drawn["up.bias"]).any()
    twins = randomise({"a.bias": (9,), "b.bias": (9,)}, RULES, seed=0)
    assert not (twins["a.bias"] == twins["b.bias"]).any()


def test_a_scalar_parameter_is_an_array():
    assert randomise({"x.scale": ()}, RULES, seed=0)["x.scale"].shape == ()


def test_names_without_exactly_one_rule_are_reported_together():
    with pytest.raises(MismatchError) as caught:
        randomise(SHAPES | {"up.gain": (3,), "x.kernel.scale": (3,)}, (*RULES, Rule("x.*", "bias")), seed=0)
    assert str(caught.value).splitlines() == [
        "every parameter must match exactly one rule:",
        "  up.gain matches none",
        r"  x.kernel.scale matches .*\.scale, x.*",
    ]


@pytest.mark.parametrize("fan_in", [None, 0])
def test_a_kernel_needs_its_fan_in(fan_in):
    with pytest.raises(MismatchError, match=rf"the rule k is for kernels and needs fan_in, got {fan_in}"):
        randomise({"k": (2, 2)}, [Rule("k", "kernel", fan_in)], seed=0)
