"""What devices tell one another is what the formula says, in the program as it is compiled."""

import math

import pytest

from benchmarks.scaling import formula
from benchmarks.scaling.collectives import totals
from benchmarks.scaling.compiled import NUMBER, Compiled, batch_bytes, compiled, work
from jax_encoder.model import MASKED_LM, shapes_of
from jax_encoder.training.mesh import MeshShape, parse
from parity.mesh.course import ACCUMULATE, FORMS, B, T
from parity.mesh.devices import simulated

FAST = [("modernbert", "fsdp=8")]
MORE = [("bert", "data=2"), ("bert", "fsdp=4"), ("bert", "data=2,fsdp=2,tensor=2"), ("modernbert", "tensor=8")]
# Counters, and what a program is aligned to.
SOME = 1024


@pytest.fixture(scope="module")
def programs(request) -> dict[tuple[str, str], Compiled]:
    slow = any(item.get_closest_marker("slow") for item in request.session.items if "test_compiled" in item.nodeid)
    parts = FAST + MORE * slow
    return dict(zip(parts, simulated(compiled, parts, devices=8), strict=True))


CASES = [*FAST, *(pytest.param(*part, marks=pytest.mark.slow) for part in MORE)]


@pytest.mark.parametrize(("form", "mesh"), CASES)
def test_collectives_are_those_of_the_formula(form, mesh, programs):
    moved = totals(programs[form, mesh].moved)
    assert moved == formula.collectives(FORMS[form], parse(mesh), work()), str(moved)
    assert moved.bytes


@pytest.mark.parametrize(("form", "mesh"), CASES)
def test_neither_rows_nor_all_parameters_are_gathered_at_once(form, mesh, programs):
    gathers = [one for one in programs[form, mesh].moved if one.kind == "all-gather"]
    assert not [one for one in programs[form, mesh].moved if one.kind in ("all-to-all", "collective-permute")]
    shape, sizes = parse(mesh), shapes_of(FORMS[form], MASKED_LM)
    assert bool(gathers) == (shape.fsdp > 1)
    # Nothing that is gathered is a batch, or has a row for every layer: it is one parameter of one layer.
    alone = {tuple(size[name.startswith("encoder.layers.") :]) for name, size in sizes.items()}
    largest = max(math.prod(size) for size in alone)
    for one in gathers:
        assert one.dtype == "f64"
        assert math.prod(one.shape) <= largest
        assert B // ACCUMULATE not in one.shape
        assert T not in one.shape


@pytest.mark.parametrize(("form", "mesh"), CASES)
def test_a_device_is_given_its_share_of_the_state_and_its_rows(form, mesh, programs):
    shape = parse(mesh)
    given = programs[form, mesh].arguments - batch_bytes(shape)
    assert 0 <= given - formula.state_bytes(FORMS[form], shape, NUMBER) < SOME
    if shape.fsdp == 8:
        everything = formula.state_bytes(FORMS[form], MeshShape(), NUMBER)
        assert given <= everything / 8 + formula.whole_bytes(FORMS[form], NUMBER) + SOME
        assert formula.whole_bytes(FORMS[form], NUMBER) < everything / 10
