"""A long search must not run out of memory maps."""

from pathlib import Path

import jax
import jax.numpy as jnp

from parity.encoder import programs


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
