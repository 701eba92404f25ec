"""The README tells the truth: its code runs, its commands exist, its figures and messages are the program's own."""

import copy
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_parity_detects import BUGS, pair_of

from parity.cases import CASE_NAMES
from parity.compare import SEMANTIC
from parity.encoder.variants import variants
from parity.report import headline
from parity.verdict import Report, Run

ROOT = Path(__file__).parent.parent
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
    assert len(BUGS) > 50  # "some fifty more"


@pytest.mark.parametrize("row", ARTICLE, ids=lambda row: row.split("|")[1].strip()[:30])
def test_messages_of_the_articles_mistakes(row, monkeypatch):
    name, message = re.findall(r"`([^`]*)`", row)
    assert message == message_of(name, monkeypatch)


def message_of(name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The first line of the report on a planted bug."""
    bug = BUGS[name]
    pair = pair_of(bug.variant)
    planted = pair.with_torch(copy.deepcopy(pair.torch_model))
    bug.plant(planted.torch_model, monkeypatch)
    return headline(Report("", SEMANTIC, {}, (Run(bug.variant, bug.case, planted.compare(bug.case)),)))


def test_the_example_of_a_failure_is_one(monkeypatch):
    example = next(block for block in blocks("") if block.startswith("parity FAIL"))
    assert example.splitlines()[0] == message_of("key-bias-dropped", monkeypatch)
