"""A function of torch is cut where its values are named, by running its own code."""

from typing import NamedTuple

import pytest
import torch

from parity.graph import torch_graph


class Values(NamedTuple):
    given: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    bent: torch.Tensor
    output: torch.Tensor
    loss: torch.Tensor


KERNEL = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
X = torch.randn(2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture
def function():
    kernel = KERNEL.clone().requires_grad_()

    def run():
        low, high = (X @ kernel).chunk(2, dim=-1)  # one call that makes two values
        bent = (low * high).tanh()
        return Values(X, low, high, bent, bent.to(torch.float64), bent.sum())

    run.kernel = kernel
    return run


def test_fed_nothing_it_is_the_function(function):
    graph = torch_graph.trace(function)
    assert graph.names == Values._fields
    values = graph.replay({})
    for name, value in function()._asdict().items():
        torch.testing.assert_close(values[name], value, rtol=0, atol=0)


def test_fed_a_value_it_goes_on_with_it(function):
    graph = torch_graph.trace(function)
    own = function()
    values = graph.replay({"low": own.low + 1, "bent": own.bent * 2})
    torch.testing.assert_close(values["low"], own.low, rtol=0, atol=0)
    torch.testing.assert_close(values["bent"], ((own.low + 1) * own.high).tanh(), rtol=0, atol=0)
    torch.testing.assert_close(values["output"], own.bent * 2, rtol=0, atol=0)
    torch.testing.assert_close(values["loss"], (own.bent * 2).sum(), rtol=0, atol=0)


def test_what_has_another_shape_is_not_gone_on_with(function):
    graph = torch_graph.trace(function)
    own = function()
    values = graph.replay({"low": own.low[:1], "bent": own.bent * 2})
    torch.testing.assert_close(values["bent"], own.bent, rtol=0, atol=0)
    torch.testing.assert_close(values["output"], own.bent * 2, rtol=0, atol=0)


def test_backward_is_the_gradient(function):
    values = function()._asdict()
    [(on_values, on_params)] = torch_graph.backward(values, ["loss"], {"kernel": function.kernel})
    slope = 1 - values["bent"] ** 2
    torch.testing.assert_close(on_values["low"], slope * values["high"])
    torch.testing.assert_close(on_params["kernel"], X.T @ torch.cat((slope * values["high"], slope * values["low"]), 1))
    torch.testing.assert_close(on_values["bent"], torch.ones_like(values["bent"]))
    assert not on_values["given"].any(), "a constant passes nothing on"


OTHER = {  # another function of the same names, and how often it is run
    "of the same calls": (lambda low, high: (low * high).sin(), 1),
    "with a call more": (lambda low, high: (low * high * 2).tanh(), 3),
    "with a call less": (lambda low, high: low.tanh(), 3),
    "with a call that does nothing in another's place": (lambda low, high: low.mul(high).to(torch.float64), 3),
    "of which a shape is asked where a value is made": (lambda low, high: (low * high * high.shape[0]).tanh(), 3),
}


@pytest.mark.parametrize(("bend", "runs"), OTHER.values(), ids=OTHER)
def test_a_function_like_it_is_fed_in_one_run_where_the_same_calls_make_its_values(function, bend, runs):
    count = 0

    def other():
        nonlocal count
        count += 1
        low, high = (X @ KERNEL).chunk(2, dim=-1)
        bent = bend(low, high)
        return Values(X, low, high, bent, bent.to(torch.float64), bent.sum())

    own = function()
    given = {name: value.detach() + 1 for name, value in own._asdict().items()}
    found = torch_graph.trace(function).like(other, given)
    assert count == runs
    expected = torch_graph.trace(other).replay(given)
    assert list(found) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0)


def test_what_a_function_like_it_raises_is_raised(function):
    def broken():
        raise IndexError("none of mine")

    with pytest.raises(IndexError, match="none of mine"):
        torch_graph.trace(function).like(broken, {})
