"""A long search must not run out of memory maps."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from parity import programs
from parity.encoder.pair import Pair
from parity.encoder.variants import variants


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
    monkeypatch.setattr(Path, "read_bytes", lambda self: (_ for _ in ()).throw(FileNotFoundError()))
    programs.give_back(limit=0)


def test_what_the_flags_ask_for(monkeypatch):
    assert programs.quick_by_default()  # conftest's
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    assert not programs.quick_by_default()


@pytest.mark.parametrize(
    ("flags", "whole", "eps"), [("--xla_backend_optimization_level=0", [False, True], 1e-4), ("", [True, True], 1e-3)]
)
def test_a_graph_is_compiled_when_that_pays(flags, whole, eps, monkeypatch):
    """Without the flags at once, with them from the second case of a shape on."""
    monkeypatch.setenv("XLA_FLAGS", flags)
    made = Pair.build(
        dataclasses.replace(variants()["post"], num_layers=1, windows=(None,), layer_groups=(0,), norm_eps=eps)
    )
    found = []
    for case in ("ragged", "packed"):
        assert all(comparison.agrees for comparison in made.compare(case))
        found += [graph.whole for graph in made.jax._graphs.values()]
    assert found == whole
