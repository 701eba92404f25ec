"""What a corpus does not exercise makes the check no proof, and is said."""

import dataclasses
from collections.abc import Callable

import pytest

from parity.judge.verdict import Report, Run, Verdict
from parity.text.adequacy import adequate, inadequacies
from parity.text.bench import Bench
from parity.text.corpus import Text
from tests.parity.text.helpers import bench, written


@pytest.fixture(scope="module")
def cased() -> Bench:
    return bench(written("bert-cased"))


def reasons(bench: Bench, **changes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for case, reason in inadequacies(bench.sound.by_class, {**bench.cases, **changes}):
        found.setdefault(case, []).append(reason)
    return found


def test_the_corpus_is_adequate(cased):
    assert reasons(cased) == {}


def changed(bench: Bench, to: Callable[[str], str]) -> dict[str, tuple[Text, ...]]:
    return {
        case: tuple(to(text) if isinstance(text, str) else (to(text[0]), to(text[1])) for text in texts)
        for case, texts in bench.cases.items()
    }


def test_no_text_comes_to_the_limit(cased):
    found = reasons(cased, **changed(cased, lambda text: text[:9]))
    assert "no text comes to the limit of 40 tokens" in found["limit"]
    assert "no text tells if texts that are too long are cut on the other side" in found["limit"]


def test_no_letter_is_large(cased):
    """Nor does any have an accent, which lower case takes off in BERT's normaliser."""
    found = reasons(cased, **changed(cased, lambda text: text.lower().encode("ascii", "ignore").decode()))
    assert found["sentences"] == ["no text tells if the text is lower-cased"]
    assert found["letters"] == ["no text tells if accents are taken off the letters"]


def test_a_vocabulary_that_knows_no_letter(cased):
    content = cased.sound.by_class.content
    content["model"]["vocab"] = {
        token: id_ for token, id_ in content["model"]["vocab"].items() if token.startswith("[")
    }
    found = dict(inadequacies(cased.sound.by_class.with_content(content), cased.cases))
    assert found["sentences"].endswith("the tokenizer hardly knows them")


def test_a_run_carries_what_its_group_does_not_exercise(cased):
    runs = (Run("text", "limit", ()), Run("text", "letters", ()))
    short = {**cased.cases, "limit": ("a",), "words": ("a",), "pairs-limit": (("a", "b"),)}
    recipe = dataclasses.replace(cased.sound.by_class, limit=10_000)
    found = adequate(runs, recipe, short)
    assert "no text comes to the limit of 10000 tokens" in found[0].inadequate
    assert Report("x", 1e-10, {}, found).verdict is Verdict.VACUOUS
