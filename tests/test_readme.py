"""The README tells the truth: its code runs, its commands exist, its figures and messages are the program's own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from parity.cases.case import CASE_NAMES, make_case
from parity.encoder.bugs.catalogue import MODEL_BUGS, find
from parity.encoder.variants import sizes_of, variants
from parity.judge.check import compare_trace
from parity.judge.compare import SEMANTIC
from parity.judge.verdict import Report, Run
from parity.report.text import headline, render
from tests.parity.encoder.test_outcomes import pair_of

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARTICLE = README.partition("| the listing |")[2].partition("\n\n")[0].splitlines()[2:]


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language, "" for none."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    return [text for name, text in fenced if name == language]


@pytest.mark.parametrize("code", blocks("python"))
def test_python_blocks_run(code):
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # What a block prints is quoted behind it.
    assert not done.stdout or f"`{done.stdout.strip()}`" in README.partition(code)[2].partition("\n## ")[0]


COMMANDS = [line for block in blocks("bash") for line in block.splitlines()]


def test_there_are_commands_to_check():
    assert len(COMMANDS) >= 5


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_exist(command):
    words = command.split("#")[0].split()
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        return
    assert words[0] == "python"
    last = next(
        i for i, word in enumerate(words) if not word.startswith("-") and not word.endswith((".py", "parity", "python"))
    )
    asked = [sys.executable, *words[1 : last + 1], "--help"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for option in [word for word in words[last:] if word.startswith("--")]:
        assert option in done.stdout


def test_counts_of_variants_and_cases():
    assert f"{len(variants())} variants" in README
    assert f"{len(CASE_NAMES)} cases" in README
    assert f"{len(MODEL_BUGS)} mistakes in the model" in README


@pytest.mark.parametrize("row", ARTICLE, ids=lambda row: row.split("|")[1].strip()[:30])
def test_messages_of_the_articles_mistakes(row):
    name, message = re.findall(r"`([^`]*)`", row)
    assert message == headline(report_of(name))


def report_of(name: str) -> Report:
    """The report on a mistake made in the reference."""
    bug = find(name)
    pair = pair_of(bug.variant)
    found = compare_trace(pair.with_bug(bug, "torch")(make_case(bug.case, sizes_of(pair.form.config))))
    run = Run(bug.variant, bug.case, found.comparisons, (), found.replayed, found.culprits)
    return Report("", SEMANTIC, {}, (run,))


def test_the_example_of_a_failure_is_one():
    example = next(block for block in blocks("") if block.startswith("parity FAIL"))
    lines = render(report_of("key-bias-dropped")).splitlines()
    assert example.splitlines() == lines[: len(example.splitlines())]
