"""Two models that nobody here wrote the insides of: the verdict, and the places where they part."""

import dataclasses
import itertools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import linen
from torch.nn import functional

import parity
from parity.errors import UsageError
from parity.judge.verdict import Verdict
from tests.parity.models import toys
from tests.sources import ROOT

RANDOM = np.random.default_rng(0)
KERNEL, BIAS = RANDOM.normal(size=(8, 6)), RANDOM.normal(size=6)


@pytest.fixture(scope="module")
def equal() -> parity.Report:
    layer = toys.torch_layer()
    ours = toys.carried(layer, made_equal=True)
    return parity.compare(parity.jax(ours), parity.torch(layer), {"src": toys.sequences()}, backward=True)


@pytest.fixture(scope="module")
def by_default() -> parity.Report:
    layer = toys.torch_layer()
    ours = toys.carried(layer, made_equal=False)
    return parity.compare(parity.jax(ours), parity.torch(layer), {"src": toys.sequences()})


def test_stock_parts_made_equal_pass_forward_and_backward(equal):
    assert str(equal).startswith("parity PASS: 1 output and 13 gradients; worst relative error ")
    ours, theirs = equal.cases[0].sides
    assert theirs.coverage.matched > 0.7 * theirs.coverage.operations
    assert [cast.dtype for cast in ours.casts] == ["float32"]  # of the softmax
    assert "a cast to float32 in attention at " in str(equal)
    assert "harmless detours" in str(equal)


def test_defaults_are_found_at_their_lines_one_behind_the_other(by_default):
    assert by_default.verdict is Verdict.FAIL_SEMANTIC
    partings = by_default.cases[0].partings
    assert [one.theirs.op for one in partings] == ["native_layer_norm", "gelu", "native_layer_norm"]
    assert [one.theirs.place.module for one in partings] == ["norm1", "", "norm2"]
    assert [one.ours.place.module for one in partings] == ["norm1", "", "norm2"]
    lines = (toys.__file__, "r")
    with open(*lines) as file:  # noqa: PTH123 - the lines are counted
        source = file.read().splitlines()
    numbers = [int(one.ours.place.line.rpartition(":")[2]) for one in partings]
    assert [
        "norm1(" in source[numbers[0] - 1],
        "gelu(" in source[numbers[1] - 1],
        "norm2(" in source[numbers[2] - 1],
    ] == [True] * 3


def test_parameters_are_found_by_value(equal):
    rows = {row.whole: (row.parts, row.how) for row in equal.table.rows}
    assert rows["linear1.kernel"] == (("linear1.weight",), "transposed")
    assert rows["attention.out.kernel"] == (("self_attn.out_proj.weight",), "transposed and reshaped")
    parts = tuple(f"attention.{name}.kernel" for name in ("query", "key", "value"))
    assert rows["self_attn.in_proj_weight"] == (parts, "3 parts")
    assert not equal.problems


def _linen_pair(bias=BIAS):
    class Model(linen.Module):
        @linen.compact
        def __call__(self, x):
            return linen.softmax(linen.Dense(6, name="dense")(x))

    module = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Softmax(-1)).double()
    with torch.no_grad():
        module[0].weight.copy_(torch.from_numpy(KERNEL.T))
        module[0].bias.copy_(torch.from_numpy(BIAS))
    variables = {"params": {"dense": {"kernel": KERNEL, "bias": bias}}}
    return parity.jax(Model(), variables), parity.torch(module, inputs={"x": "input"})


def test_linen_modules_have_their_variables():
    report = parity.compare(*_linen_pair(), {"x": toys.sequences()})
    assert report.verdict is Verdict.PASS
    assert "  dense.kernel  = 0.weight  transposed" in str(report)


def test_a_parameter_without_an_equal_stands_first():
    lines = str(parity.compare(*_linen_pair(BIAS * 2), {"x": toys.sequences()})).splitlines()
    assert lines[0].startswith("parity FAIL semantic at ")
    assert lines[1] == "  JAX's dense.bias (6,) has no equal in torch; beside 0.bias: JAX is 2 x torch"


def test_functions_of_one_framework():
    ours, theirs = (
        parity.torch(one) for one in (functional.gelu, lambda input: functional.gelu(input, approximate="tanh"))
    )
    report = parity.compare(ours, theirs, {"input": toys.sequences()})
    assert report.labels == ("ours", "theirs")
    assert [cut.op for cut in (report.cases[0].partings[0].ours, report.cases[0].partings[0].theirs)] == [
        "gelu",
        "gelu",
    ]
    relu = parity.jax(lambda x: jax.nn.relu(x)), parity.jax(lambda x: jnp.maximum(x, 0.0))
    assert parity.compare(*relu, {"x": toys.sequences()}).verdict is Verdict.PASS


def test_a_callable_pytree_and_a_function_of_parameters():
    @jax.tree_util.register_dataclass
    @dataclasses.dataclass
    class Linear:
        kernel: np.ndarray

        def __call__(self, x):
            return x @ self.kernel

    def linear(params, x):
        return x @ params["kernel"]

    report = parity.compare(parity.jax(Linear(KERNEL)), parity.jax(linear, {"kernel": KERNEL}), {"x": toys.sequences()})
    assert report.verdict is Verdict.PASS
    assert [row.whole for row in report.table.rows] == ["kernel"]


def test_casts_are_read_as_float64_even_where_a_loop_carries_them():
    def ours(x):
        step = lambda carry, _: (jnp.tanh(carry) * jnp.float32(0.7), None)  # noqa: E731
        return jax.lax.scan(step, x.astype(jnp.float32), length=3)[0]

    def theirs(x):
        for _ in range(3):
            x = torch.tanh(x.float()) * 0.7
        return x.bfloat16()

    report = parity.compare(parity.jax(ours), parity.torch(theirs), {"x": toys.sequences()})
    assert report.verdict is Verdict.PASS
    assert report.cases[0].run.comparisons[0].error < 1e-14
    assert {cast.dtype for cast in report.cases[0].sides[1].casts} == {"float32", "bfloat16"}


def test_loops_and_branches_count_as_their_steps():
    def ours(x, n):
        def body(carry):
            return carry[0] + 1, jax.lax.cond(carry[0] % 2 == 0, jnp.sin, jnp.cos, carry[1])

        return jax.lax.while_loop(lambda carry: carry[0] < n, body, (0, x))[1]

    def theirs(x, n):
        for step in range(int(n)):
            x = torch.sin(x) if step % 2 == 0 else torch.cos(x)
        return x

    report = parity.compare(parity.jax(ours), parity.torch(theirs), {"x": toys.sequences(), "n": np.asarray(4)})
    assert report.verdict is Verdict.PASS
    assert report.cases[0].sides[1].coverage == (4, 4)
    assert "a number decides what is computed: read by item() at tests/parity/models/test_compare.py:" in str(report)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"x": np.ones((3, 5))}, "x is 1.0 throughout"),
        ({"x": np.arange(5.0)[None]}, "x has one row: a batch would show what mixes rows"),
        ({"x": np.stack([np.arange(5.0)] * 2)}, "all rows of x are equal"),
    ],
)
def test_inputs_that_expose_nothing_are_no_proof(inputs, reason):
    report = parity.compare(parity.torch(lambda x: x * 2), parity.torch(lambda x: x + x), inputs)
    assert str(report).startswith(f"parity VACUOUS: {reason} ")


def test_parameters_of_one_number_are_no_proof_until_they_are_drawn():
    norm = torch.nn.LayerNorm(8), torch.nn.LayerNorm(8)
    sides, inputs = [parity.torch(one) for one in norm], {"input": toys.sequences()}
    assert "2 parameters hold one number throughout (weight = 1, bias = 0)" in str(parity.compare(*sides, inputs))
    drawn = parity.compare(*sides, inputs, weights="randomise")
    assert drawn.verdict is Verdict.PASS
    assert "parameters drawn at random" in str(drawn)


def test_a_side_that_raises_is_an_error():
    def broken(x):
        if x.sum() > 0:
            return x
        return -x

    report = parity.compare(parity.jax(broken), parity.torch(lambda x: x), {"x": toys.sequences()})
    assert str(report).startswith("parity ERROR: JAX raised TracerBoolConversionError: ")
    assert "raised at test_compare.py:" in str(report) or "raised at tests/" in str(report)


def test_random_numbers_are_told():
    module = torch.nn.Dropout(0.5)
    report = parity.compare(parity.jax(lambda input: input), parity.torch(module), {"input": toys.sequences()})
    assert report.verdict is Verdict.FAIL_SEMANTIC
    assert "is dropout left on?" in str(report)


def test_nothing_is_imported_before_it_is_asked_for_and_jax_not_for_torch_alone():
    code = """
import sys, parity
assert not {"numpy", "jax", "torch"} & set(sys.modules)
sys.modules.update(dict.fromkeys(("jax", "jaxlib", "flax")))
import numpy
sides = [parity.torch(one) for one in (lambda x: x + x, lambda x: x * 2)]
print(parity.compare(*sides, {"x": numpy.random.default_rng(0).normal(size=(3, 4))}, backward=True).verdict)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "PASS", done.stderr
    with pytest.raises(AttributeError, match="module 'parity' has no attribute 'nothing'"):
        parity.nothing  # noqa: B018


def test_a_side_that_changes_from_run_to_run_is_an_error():
    calls = itertools.count(1)
    report = parity.compare(
        parity.torch(lambda x: x * next(calls)), parity.torch(lambda x: x * 3), {"x": toys.sequences()}
    )
    assert str(report).startswith("parity ERROR: ours raised NonDeterminism: two runs on the same input differ")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f, x: parity.compare(f, f, {"y": x}), "it takes no y: it takes x; say inputs="),
        (lambda f, x: parity.compare(f, f, {}), "there is no input"),
        (lambda f, x: parity.compare(f, f, {"x": x}, weights="random"), "weights must be 'as they are' or 'randomise'"),
        (lambda f, x: parity.jax(linen.Dense(3)), "a Linen module has no parameters of its own"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(UsageError, match=message):
        call(parity.torch(lambda x: x), toys.sequences())


def test_what_does_not_fit_into_memory_is_refused_with_its_size():
    side = parity.torch(torch.nn.Linear(8, 6))
    with pytest.raises(UsageError, match="in float64 need 1,728 bytes, of 1,000 that are free"):
        parity.compare(side, side, {"input": toys.sequences()}, memory=1000)


def test_outputs_that_are_not_as_many_fail():
    report = parity.compare(parity.torch(lambda x: (x, x)), parity.torch(lambda x: x), {"x": toys.sequences()})
    assert report.verdict is Verdict.FAIL_SEMANTIC
    assert "one side gives 2 arrays (0, 1), the other 1 (output)" in str(report)


def test_a_report_is_saved_as_page_or_text(equal, tmp_path):
    equal.save(tmp_path / "report.html")
    equal.save(tmp_path / "report.txt")
    page = (tmp_path / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "parity PASS: 1 output and 13 gradients" in page
    assert (tmp_path / "report.txt").read_text() == str(equal)
