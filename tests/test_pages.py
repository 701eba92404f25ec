"""Every page is true: what it names exists, what it tells to type can be typed, and its figures are written by code."""

import dataclasses
import importlib
import io
import re
import shlex
import tomllib
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import get_args

import pytest

import benchmarks.__main__
import jax_encoder.cli
import jax_encoder.commands.train
import parity.cli
from jax_encoder import EncoderConfig
from jax_encoder.config import Activation, MlpKind, NormKind, NormOrder, PositionKind
from jax_encoder.training.config import Preset

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))
}
# What was decided when other files were there, and what changed since.
HISTORY = {"DECISIONS.md", "CHANGELOG.md"}
LIVING = {name: text for name, text in PAGES.items() if name not in HISTORY}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PARSERS = {
    ("python", "-m", "parity"): parity.cli.parse,
    ("jax-encoder-parity",): parity.cli.parse,
    ("python", "-m", "jax_encoder"): jax_encoder.cli.parse,
    ("jax-encoder",): jax_encoder.cli.parse,
    ("python", "train.py"): jax_encoder.commands.train.parse,
}
FENCE = re.compile(r"^ *```(\S*)\n(.*?)^ *```$", flags=re.MULTILINE | re.DOTALL)
TREE = re.compile(r"^train\.py +the script", flags=re.MULTILINE)


def spans(text: str) -> list[str]:
    """Everything in single backticks."""
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


def typed(text: str) -> list[str]:
    """The lines of every block of commands."""
    return [
        line.strip() for language, block in FENCE.findall(text) if language == "bash" for line in block.splitlines()
    ]


def refusal(command: str) -> str | None:
    """Why a command cannot be typed; None if it can, or is none of ours."""
    words = shlex.split(command, comments=True)
    if words[0] == "make":
        rule = rf"^{re.escape(words[1])}:" if len(words) > 1 else "."
        return None if re.search(rule, (ROOT / "Makefile").read_text(), flags=re.MULTILINE) else "no such rule"
    if words[:2] == ["pip", "install"]:
        asked = set(re.findall(r"\w+", words[2].partition("[")[2]))
        return f"no extra {asked}" if asked - PROJECT["optional-dependencies"].keys() else None
    if words[:3] == ["python", "-m", "benchmarks"]:
        return None if words[3] in benchmarks.__main__.COMMANDS else "no such measurement"
    if words[0] == "python" and words[1].startswith("examples/"):
        return None if (ROOT / words[1]).is_file() else "no such example"
    for start, parse in PARSERS.items():
        if tuple(words[: len(start)]) == start:
            return _refused(parse, words[len(start) :])
    return None


def _refused(parse, arguments: list[str]) -> str | None:
    """What a parser says against these arguments; a command that is only named, without what it needs, has help."""
    named = len(arguments) <= 1
    said = io.StringIO()
    try:
        with redirect_stderr(said), redirect_stdout(said):
            parse([*arguments, "--help"] if named else arguments)
    except SystemExit as end:
        known = not (named and arguments) or f" {arguments[0]} " in said.getvalue().splitlines()[0]
        return None if not end.code and known else said.getvalue()
    return None


@pytest.mark.parametrize("command", sorted({line for text in PAGES.values() for line in typed(text)}))
def test_commands_can_be_typed(command):
    assert refusal(command) is None


@pytest.mark.parametrize("command", sorted({span for text in LIVING.values() for span in spans(text) if " " in span}))
def test_commands_within_a_sentence_can_be_typed(command):
    subcommand = command.split()[0] in parity.cli.COMMANDS and " --" in command
    assert refusal(f"python -m parity {command}" if subcommand else command) is None


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("python -m parity chek", "usage: python -m parity [-h]"),
        ("python -m parity check --confg post", "--confg"),
        ("python train.py pretrain --steps many", "--steps"),
        ("jax-encoder resume --run x", "missing argument"),
        ("make tset", "no such rule"),
        ("pip install '.[party]'", "party"),
        ("python -m benchmarks decode", "no such measurement"),
        ("python examples/nothing.py", "no such example"),
    ],
)
def test_what_cannot_be_typed_is_found(command, why):
    assert why.lower() in (refusal(command) or "").lower()


@pytest.mark.parametrize("name", LIVING)
def test_paths_exist(name):
    text = LIVING[name]
    links = [link for link in re.findall(r"\]\(([^)#\s]+)\)", text) if "://" not in link]
    assert not [link for link in links if not ((ROOT / name).parent / link).exists()]
    starts = {path.name for path in ROOT.iterdir()}
    named = [span for span in spans(text) if re.fullmatch(r"[\w.-]+(/[\w.-]*)*", span) and span.split("/")[0] in starts]
    assert not [path for path in named if not (ROOT / path).exists()]


def test_paths_that_do_not_exist_would_be_found():
    assert spans("see `parity/nowhere.py`, and\n```\n`not/this`\n```\n") == ["parity/nowhere.py"]


def tree() -> list[str]:
    """Every path of the README's tree, from the root."""
    block = next(block for _, block in FENCE.findall(PAGES["README.md"]) if TREE.search(block))
    found, parent = [], ""
    for line in block.splitlines():
        names = re.match(r"( *)((?:[\w.]+(?:/|\.py) *)+)", line)
        if names and len(names[1]) < 4:
            parent = "" if not names[1] else parent
            found += [parent + each for each in names[2].split()]
            parent = names[2].strip() if not names[1] else parent
    return found


def test_the_tree_is_read():
    assert {"train.py", "jax_encoder/", "parity/", "parity/cases/", "parity/optimizer/", "parity/selftest/"} <= set(
        tree()
    )


@pytest.mark.parametrize("path", tree())
def test_the_tree_is_the_houses(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", LIVING)
def test_dotted_names_resolve(name):
    for span in spans(LIVING[name]):
        if re.fullmatch(r"(jax_encoder|torch_ref|parity)(\.(?!txt|json)\w+)+(\(.*\))?", span):
            assert resolves(span.partition("(")[0]), span


def resolves(dotted: str) -> bool:
    """Whether a name is a module, or something in one."""
    module, _, last = dotted.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), last) or bool(importlib.import_module(dotted))
    except ImportError:
        return False


def test_names_that_do_not_resolve_would_be_found():
    assert resolves("jax_encoder.masks")
    assert resolves("jax_encoder.TextEncoder")
    assert not resolves("jax_encoder.TextDecoder")
    assert not resolves("jax_encoder.nowhere.load")


def test_the_reference_of_encoders_is_whole():
    page = PAGES["docs/encoder.md"]
    named = set(re.findall(r"\w+", " ".join(spans(page))))
    assert {field.name for field in dataclasses.fields(EncoderConfig)} <= named
    assert set(get_args(Preset)) <= named
    for choices in (NormOrder, NormKind, MlpKind, Activation, PositionKind):
        assert set(get_args(choices)) <= set(re.findall(r"\w+", page))


@pytest.mark.parametrize("name", LIVING)
def test_english_is_plain_and_lines_are_short(name):
    text = FENCE.sub("", LIVING[name])
    assert "processor" not in text
    assert not [line for line in text.splitlines() if len(line) > 120 and not line.lstrip().startswith("|")]


def test_a_table_of_the_readme_fits_its_page():
    assert not [line for line in FENCE.sub("", PAGES["README.md"]).splitlines() if len(line) > 120]
