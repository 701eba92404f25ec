"""The README tells the truth: its code runs, its figures are counted, its messages are the program's own."""

import dataclasses
import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface.families import FAMILIES
from jax_encoder.training.config import PretrainConfig
from parity.cases.case import CASE_NAMES, make_case
from parity.encoder.bugs.catalogue import MODEL_BUGS, find
from parity.encoder.form import Form
from parity.encoder.pair import Pair
from parity.encoder.variants import sizes_of, variants
from parity.judge.check import compare_trace, run_of
from parity.judge.compare import SEMANTIC
from parity.judge.verdict import Report
from parity.report.text import headline, render
from tests.parity.certificate.test_trained import TEXT_COMPARISONS
from tests.parity.encoder.test_outcomes import pair_of

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [match.groups() for match in re.finditer(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)]
ARTICLE = (ROOT / "docs/article.md").read_text(encoding="utf-8").partition("| the listing |")[2].splitlines()[2:]
# What it says, in the order that a stranger needs it.
SECTIONS = [
    "What works today, and what does not",
    "Install",
    "Ten lines of Python",
    "Train",
    "Test",
    "Is it the same function?",
    "Any two models",
    "Your own text",
    "Published checkpoints",
    "Where things are",
]
FIRST_SCREEN = 200  # lines


def between(name: str) -> str:
    """What a command wrote between its marks."""
    return README.partition(f"<!-- {name}: begin -->\n")[2].partition(f"<!-- {name}: end -->")[0]


def test_it_stays_a_first_page():
    assert len(README.splitlines()) <= FIRST_SCREEN
    assert re.findall(r"^## (.*)$", README, flags=re.MULTILINE) == SECTIONS


def test_python_runs_and_prints_what_stands_below_it():
    assert [language for language, _ in BLOCKS].count("python") >= 1
    for (language, code), (after, printed) in itertools.pairwise(BLOCKS):
        if language == "python":
            done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert (after, printed) == ("", done.stdout)


def test_counts():
    assert f"builds {len(variants())} variants" in README
    assert f"runs {len(CASE_NAMES)} inputs" in README
    assert f"{len(MODEL_BUGS)} mistakes in the model" in README
    assert f"at most {SEMANTIC:.0e} of" in README
    assert f"published checkpoints of [{len(FAMILIES)} families](docs/fine-tuning.md)" in README
    table = (ROOT / "docs/fine-tuning.md").read_text(encoding="utf-8").partition("| family | model types |")[2]
    listed = [re.findall(r"`([\w-]+)`", row.split("|")[2]) for row in table.partition("\n\n")[0].splitlines()[2:]]
    assert listed == [list(family.model_types) for family in FAMILIES.values()]


def test_the_matrix_is_the_one_of_today():
    assert f"\nparity PASS: {len(variants())} variants x {len(CASE_NAMES)} cases, " in between("parity check")


def test_the_screen_is_of_the_default_run():
    run, screen = PretrainConfig(), between("make train")
    (steps, tokens, seconds, speed) = re.findall(
        r"^steps +([\d,]+), ([\d,]+) tokens in (\S+)\nthroughput +([\d,]+) real", screen, flags=re.MULTILINE
    )[0]
    assert int(steps.replace(",", "")) == run.steps
    assert 0.9 < int(tokens.replace(",", "")) / (run.steps * run.batch_size * EncoderConfig.mini().max_len) <= 1
    hours, minutes, rest = map(int, seconds.split(":"))
    took = int(tokens.replace(",", "")) / int(speed.replace(",", ""))
    assert took == pytest.approx(3600 * hours + 60 * minutes + rest, abs=1)
    bigram, encoder = (float(re.findall(rf"{name} .* (\d\.\d+)", screen)[0]) for name in ("bigram", "this encoder"))
    assert encoder < bigram


@pytest.mark.slow
def test_the_screen_counts_as_many_comparisons_as_such_a_run_makes():
    # As many layers, and all else of the default encoder's form: its sizes change no count.
    small = dataclasses.replace(
        EncoderConfig.mini(),
        vocab_size=61,
        max_len=37,
        embed_dim=20,
        mlp_dim=28,
        head_dim=8,
        windows=(None, 3, 3, None),
    )
    form = Form.trained(small, deployed=True)
    pair = Pair.build(form, Pair.build(form).params)
    count = len(compare_trace(pair(make_case("packed", sizes_of(small)))).comparisons)
    assert f"2 variants x 14 cases, {count + TEXT_COMPARISONS} comparisons" in between("make train")


@pytest.mark.parametrize("row", ARTICLE, ids=lambda row: row.split("|")[1].strip()[:30])
def test_messages_of_the_articles_mistakes(row):
    name, message = re.findall(r"`([^`]*)`", row)
    assert message == headline(report_of(name))


def report_of(name: str) -> Report:
    """The report on a mistake made in the reference."""
    bug = find(name)
    pair = pair_of(bug.variant)
    found = compare_trace(pair.with_bug(bug, "torch")(make_case(bug.case, sizes_of(pair.form.config))))
    return Report("", SEMANTIC, {}, (run_of(bug.variant, bug.case, found),))


def test_the_example_of_a_failure_is_one_and_is_read_line_by_line():
    example = next(text for _, text in BLOCKS if text.startswith("parity FAIL")).splitlines()
    assert example == render(report_of("key-bias-dropped")).splitlines()[: len(example)]
    reading = README.partition("parity FAIL")[2].partition("\n```\n")[2].partition("\nComparing outputs")[0]
    assert len(re.findall(r"^\d\. ", reading, flags=re.MULTILINE)) == len(example)
