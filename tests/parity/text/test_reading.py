"""Readings compared: the first text and the first token that differ are named."""

import numpy as np
import pytest

from parity.text.reading import Reading, apart, compare_readings, compare_rows, only, share_apart, shown


def rows(*lists: list[int]) -> tuple[np.ndarray, ...]:
    return tuple(np.array(one, np.int64) for one in lists)


def reading(**changes) -> Reading:
    given = {
        "ids": rows([2, 7, 3], [2, 8, 9, 3]),
        "special": rows([1, 0, 1], [1, 0, 0, 1]),
        "types": rows([0, 0, 0], [0, 0, 1, 1]),
        "mask": np.array([[True, True, True, False], [True] * 4]),
        "positions": rows([0, 1, 2], [0, 1, 2, 3]),
    }
    return Reading(**(given | changes))


SPELL = (lambda id_: f"j{id_}", lambda id_: f"t{id_}")
TEXTS = ("one", "two words")


def sites(ours: Reading, theirs: Reading) -> dict:
    return {one.site: one for one in compare_readings(ours, theirs, TEXTS, SPELL)}


def test_equal_readings_agree_in_every_part():
    found = sites(reading(), reading())
    assert list(found) == ["ids", "special", "types", "mask", "positions"]
    assert all(one.agrees for one in found.values())
    assert (found["ids"].compared, found["ids"].scale, found["ids"].spread) == (7, 9.0, 7.0)


def test_the_first_text_and_token_are_shown():
    found = sites(reading(ids=rows([2, 7, 3], [2, 8, 5, 3])), reading())["ids"]
    assert not found.agrees
    assert found.problem.splitlines() == [
        "text 1 of 2, 'two words', token 2: JAX 5, torch 9; 1 of 2 texts differ",
        "JAX   j2 j8 j5 j3 (4 tokens)",
        "torch t2 t8 t9 t3 (4 tokens)",
    ]
    assert (found.worst_index, found.actual, found.expected) == ((1, 2), 5, 9)
    assert found.error == pytest.approx(1 / 7)


def test_a_text_that_ends_sooner_differs_where_it_ends():
    found = compare_rows("ids", rows([1, 2]), rows([1, 2, 3]), ("x",))
    assert found.problem == "text 0 of 1, 'x', token 2: JAX none, torch 3; 1 of 1 texts differ"
    assert found.worst_index is None
    assert found.error == pytest.approx(1 / 3)


def test_a_long_text_is_shown_around_the_token():
    ours, theirs = rows(list(range(20))), rows([*range(10), 99, *range(11, 20)])
    alone = {"special": ours, "types": ours, "mask": np.ones((1, 20), bool), "positions": ours}
    (found, *_) = compare_readings(Reading(ids=ours, **alone), Reading(ids=theirs, **alone), ("x" * 100,), SPELL)
    assert found.problem.splitlines()[1] == "JAX   ... j6 j7 j8 j9 j10 j11 j12 j13 j14 ... (20 tokens)"
    assert shown("x" * 100) == f"'{'x' * 29}...{'x' * 29}'"


def test_texts_are_shown_as_they_are_typed():
    assert shown("é") == "'é'"
    assert shown("a\u2028b") == r"'a\u2028b'"
    assert shown(("a", "b")) == "'a' and 'b'"


def test_what_neither_side_has_is_no_site():
    bare = reading(types=rows([0] * 3, [0] * 4), special=rows([0] * 3, [0] * 4))
    assert list(sites(bare, bare)) == ["ids", "mask", "positions"]
    assert not sites(bare, reading())["types"].agrees


def test_where_padding_stands_is_in_the_mask_alone():
    left = reading(mask=np.array([[False, True, True, True], [True] * 4]))
    assert not sites(left, reading())["mask"].agrees
    assert share_apart(left, reading()) == 0
    wider = reading(mask=np.pad(reading().mask, ((0, 0), (0, 2))))
    assert sites(wider, reading())["mask"].agrees


def test_texts_apart():
    other = reading(types=rows([0, 0, 1], [0, 0, 1, 1]))
    assert apart(other, reading()) == [0]
    assert apart(other, reading(), ("ids",)) == []
    assert share_apart(other, reading()) == 0.5
    assert only(reading(), [1]).ids[0].tolist() == [2, 8, 9, 3]
