"""Programs are compiled in haste where XLA can be told so, and a long search must not run out of memory maps."""

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from parity.cases.case import make_case
from parity.encoder.inputs import Inputs
from parity.encoder.program import JaxProgram
from parity.encoder.sides import JaxInputs
from parity.encoder.variants import sizes_of, variants
from parity.graph import programs

MADE_UP = {"xla_cpu_option_that_no_release_has": True}
LEVEL = {"xla_backend_optimization_level": 0}


def test_a_private_option_is_asked_for_where_xla_knows_it():
    with pytest.raises(jax.errors.JaxRuntimeError, match="No such compile option"):
        jax.jit(lambda: 0, compiler_options=MADE_UP)()
    assert programs.known(MADE_UP | LEVEL) == LEVEL
    assert programs.known({"xla_backend_optimization_level": "high"}) == {}
    # None known any more: then haste is a word without effect, and QUICKLY has outlived its options.
    assert programs.known(programs.QUICKLY)


def test_what_is_known_reaches_the_compiler_and_the_rest_breaks_nothing(monkeypatch):
    told = []
    real = jax.jit

    def jit(function, *, compiler_options, **options):
        told.append(compiler_options)
        return real(function, compiler_options=compiler_options, **options)

    monkeypatch.setattr(programs, "QUICKLY", MADE_UP | LEVEL)
    monkeypatch.setattr(jax, "jit", jit)
    programs.known(MADE_UP | LEVEL)  # tried by now
    told.clear()
    power = programs.quickly(lambda x, n: x**n, static_argnums=1)
    assert told == []
    assert power(jnp.asarray(3.0), 2) == 9
    assert power(jnp.asarray(3.0), n=3) == 27
    assert told == [LEVEL]


def test_an_option_is_tried_once(monkeypatch):
    programs.known(MADE_UP)
    monkeypatch.setattr(jax, "jit", None)
    assert programs.known(MADE_UP) == {}


def test_compiled_programs_are_given_back_above_the_limit(monkeypatch):
    cleared = []
    monkeypatch.setattr(jax, "clear_caches", lambda: cleared.append(True))
    programs.give_back(limit=10**9)
    assert not cleared
    programs.give_back(limit=10)
    assert cleared


def test_giving_back_frees_maps():
    def count():
        return Path("/proc/self/maps").read_bytes().count(b"\n")

    for size in range(40, 70):
        (jnp.ones((size, 3)) * 2.5).block_until_ready()
    before = count()
    programs.give_back(limit=10)
    assert count() < before
    assert (jnp.ones((50, 3)) * 2.5).sum() == 375


def test_where_the_system_does_not_tell_nothing_happens(monkeypatch):
    cleared = []
    monkeypatch.setattr(jax, "clear_caches", lambda: cleared.append(True))
    programs.give_back(limit=0)
    assert cleared.pop()
    monkeypatch.setattr(Path, "read_bytes", lambda self: (_ for _ in ()).throw(FileNotFoundError()))
    programs.give_back(limit=0)
    assert not cleared


@pytest.mark.parametrize(("whole", "compiled"), [(False, [False, True, False]), (True, [True, True, True])])
def test_a_graph_is_compiled_when_that_pays(whole, compiled):
    """At once, or from the second case of a shape on."""
    form = variants()["post"]
    program = JaxProgram(form, whole=whole)
    params = {name: jnp.zeros(shape) for name, shape in program.shapes.items()}
    graphs = [
        program.graph(params, JaxInputs.of(Inputs.of(make_case(case, sizes_of(form.config)), form)))
        for case in ("ragged", "packed", "batch-equals-length")
    ]
    assert [graph.whole for graph in graphs] == compiled
    assert graphs[0].jaxpr is graphs[1].jaxpr
    assert graphs[1] is not graphs[2]
