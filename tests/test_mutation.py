"""The mutation check: which tests are run, what counts as noticed, and what its table may say."""

import importlib
import subprocess
import sys

import pytest

from tests import mutation
from tests.mutants import mutants
from tests.mutation import Changed, Covered, complaints, judged, table
from tests.sources import ROOT

SECONDS = {"tests/a/test_one.py::x": 3.0, "tests/a/test_one.py::y": 2.0, "tests/a/test_two.py::z": 1.0}
X, Y, Z = SECONDS


def test_the_tests_of_a_line_are_those_that_run_it_the_modules_own_first():
    covered = Covered(SECONDS, {"a/one.py": {1: frozenset({""}), 5: frozenset({X, Z}), 6: frozenset({Y})}})
    assert covered.tests("a/one.py", [5]) == [X, Z]
    assert covered.tests("a/one.py", range(4, 8)) == [Y, X, Z]
    assert covered.tests("a/one.py", [1]) == [Y, X, Z]
    assert covered.tests("a/two.py", [1]) == covered.tests("a/one.py", [7]) == []


def test_what_no_test_runs_survives():
    chosen = list(mutants("def f(a):\n    return a < 1\n"))
    came = list(judged("a/one.py", chosen, Covered(SECONDS, {}), jobs=2))
    assert came == [(mutant, "survived") for mutant in chosen]


def test_a_module_is_found_with_another_source_and_the_cache_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "changed_here.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", [Changed("changed_here", "VALUE = 2\n"), *sys.meta_path])
    assert importlib.import_module("changed_here").VALUE == 2
    assert [path.name for path in tmp_path.iterdir()] == ["changed_here.py"]
    del sys.modules["changed_here"]
    sys.meta_path.pop(0)
    assert importlib.import_module("changed_here").VALUE == 1
    del sys.modules["changed_here"]


def test_survivors_need_a_reason_and_reasons_a_survivor():
    one, other = ("a.py", "a < b", "a < b -> a <= b"), ("a.py", "c", "c -> d")
    assert complaints([one], [one]) == []
    assert complaints([one], []) == ["survived: a.py | a < b | a < b -> a <= b"]
    assert complaints([one], [one, other]) == ["in equivalent_mutants.toml, but does not survive: a.py | c | c -> d"]


GROUP = '[[equivalent]]\nfile = "a.py"\nline = "x"\nchanges = ["1 -> 2"]\nreason = "{}"\n'


@pytest.mark.parametrize(
    ("text", "said"), [(GROUP.format("so") * 2, "stands there twice"), (GROUP.format(" "), "no rea")]
)
def test_the_table_must_be_whole(text, said, tmp_path, monkeypatch):
    monkeypatch.setattr(mutation, "TABLE", tmp_path / "table.toml")
    (tmp_path / "table.toml").write_text(text)
    with pytest.raises(SystemExit, match=r"^table.toml: a.py | x | 1 -> 2 " + said):
        table()
    (tmp_path / "table.toml").write_text(GROUP.format("so"))
    assert table() == {("a.py", "x", "1 -> 2"): "so"}


def test_the_table_is_about_mutants_that_there_are():
    known = table()
    files = {file for file, _, _ in known}
    made = {mutation.key_of(file, mutant) for file in files for mutant in mutants((ROOT / file).read_text())}
    assert not [key for key in known if key not in made]


@pytest.mark.slow
def test_the_tests_notice_every_change_of_a_small_module():
    command = [sys.executable, "-m", "tests.mutation", "parity/judge/bug.py", "parity/judge/explain.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[0] == "parity/judge/bug.py: 1 noticed"
