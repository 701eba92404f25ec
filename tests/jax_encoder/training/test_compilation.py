"""Programs that are kept from run to run, and what the screen says of it."""

import io
import os
import shutil
import sys
import time

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.compilation_cache import compilation_cache
from rich.console import Console

from jax_encoder.training.compilation import compiling, keep_programs, user_folder

DIR, SWITCH = "jax_compilation_cache_dir", "jax_enable_compilation_cache"


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=300)


@pytest.fixture
def home(monkeypatch, tmp_path):
    """An empty cache folder of the user's, and JAX without a folder of its own."""
    before = {name: getattr(jax.config, name) for name in (DIR, SWITCH)}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    jax.config.update(DIR, None)
    yield tmp_path
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def said(console: Console) -> list[str]:
    text = console.file.getvalue()
    console.file.seek(0)
    console.file.truncate()
    return text.splitlines()


def compiled_here(console: Console) -> list[str]:
    """What is said while a program is compiled that this process does not remember."""
    jax.clear_caches()
    with compiling(console, "a sum"):
        jax.block_until_ready(jax.jit(lambda x: jnp.sin(x).sum())(jnp.arange(7.0)))
    return said(console)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the folder's place is Linux'")
def test_the_second_time_a_program_is_found(console, home):
    keep_programs(console)
    assert said(console) == [f"programs   kept in {user_folder()} when they are compiled"]
    assert user_folder().is_relative_to(home / "jax-encoder")
    first, last = compiled_here(console)
    assert first == "programs   compiling a sum"
    assert last.startswith("programs   a sum: compiled in ")
    assert compiled_here(console)[-1].startswith("programs   a sum: kept from an earlier run, ready in ")


def test_what_was_cut_short_is_compiled_again_and_kept_whole(console, home):
    keep_programs(console)
    compiled_here(console)
    for entry in user_folder().glob("*-cache"):
        entry.write_bytes(entry.read_bytes()[:40])
    lines = compiled_here(console)
    assert any(" cannot be read, and is compiled again: " in line for line in lines)
    assert lines[-1].startswith("programs   a sum: compiled in ")
    assert compiled_here(console)[-1].startswith("programs   a sum: kept from an earlier run, ")


def test_a_disk_that_is_full_costs_no_run(console, home):
    keep_programs(console)
    compiled_here(console)
    # A folder that goes away is one that nothing can be written to, for root, too.
    shutil.rmtree(user_folder())
    user_folder().write_text("")
    lines = compiled_here(console)
    assert any(" cannot be kept: NotADirectoryError: " in line for line in lines), lines
    assert lines[-1].startswith("programs   a sum: compiled in ")


def test_a_folder_that_cannot_be_written_is_said_to_be_left_alone(console, home):
    (home / "jax-encoder").write_text("a file in its place")
    keep_programs(console)
    (line,) = said(console)
    assert line.startswith(f"programs   not kept when they are compiled: {user_folder()} cannot be written (")
    assert line.endswith("; JAX_COMPILATION_CACHE_DIR names another folder")
    assert jax.config.jax_compilation_cache_dir is None
    assert compiled_here(console)[-1].startswith("programs   a sum: compiled in ")


def test_the_user_moves_it_or_switches_it_off(console, home):
    jax.config.update(DIR, str(home / "mine"))
    keep_programs(console)
    assert said(console) == [f"programs   kept in {home / 'mine'} when they are compiled"]
    jax.config.update(SWITCH, False)
    keep_programs(console)
    assert said(console) == ["programs   not kept when they are compiled: JAX_ENABLE_COMPILATION_CACHE is off"]


def test_what_is_old_is_forgotten_in_our_folder_alone(console, home):
    user_folder().mkdir(parents=True)
    old, new = user_folder() / "jit_f-1-cache", user_folder() / "jit_f-2-cache"
    theirs = home / "mine" / "jit_f-1-cache"
    theirs.parent.mkdir()
    for entry in (old, new, theirs):
        entry.write_text("")
    for entry in (old, theirs):
        os.utime(entry, (time.time(), time.time() - 31 * 86_400))
    keep_programs(console)
    assert not old.exists()
    assert new.exists()
    jax.config.update(DIR, str(theirs.parent))
    keep_programs(console)
    assert theirs.exists()


@pytest.mark.parametrize(
    ("system", "variable", "base"),
    [
        ("linux", "XDG_CACHE_HOME", ".cache"),
        ("darwin", "XDG_CACHE_HOME", "Library/Caches"),
        ("win32", "LOCALAPPDATA", "AppData/Local"),
    ],
)
def test_the_folder_is_where_the_platform_has_such(system, variable, base, monkeypatch, tmp_path):
    monkeypatch.setattr("jax_encoder.training.compilation.sys.platform", system)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(variable, raising=False)
    assert user_folder().parent == tmp_path / base / "jax-encoder" / "compiled"
    if system != "darwin":
        monkeypatch.setenv(variable, str(tmp_path / "moved"))
        assert user_folder().parent == tmp_path / "moved" / "jax-encoder" / "compiled"
