import dataclasses

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from parity.cases.adequacy import inadequacies
from parity.cases.case import CASE_NAMES, Case, Sizes, from_segments, make_case
from tests.parity import helpers as toy

SIZES = toy.sizes()


@hypothesis.given(st.data())
def test_every_case_is_adequate_at_every_size(data):
    length = data.draw(st.integers(12, 40))
    sizes = Sizes(
        batch=data.draw(st.integers(5, 11)),
        length=length,
        vocab_size=data.draw(st.integers(16, 40_000)),
        max_len=length + data.draw(st.integers(0, 3)),
        num_token_types=data.draw(st.integers(0, 3)),
        windows=(None, data.draw(st.integers(1, length - 2))),
        model_sizes=(48, 50),
        seed=data.draw(st.integers(0, 2**32)),
    )
    for name in CASE_NAMES:
        assert inadequacies(make_case(name, sizes), sizes) == ()


@pytest.mark.parametrize("name", CASE_NAMES)
def test_arrays_fit_each_other(name):
    case = make_case(name, SIZES)
    B, T = (5, 5) if name == "batch-equals-length" else (5, 13)
    assert case.name == name
    assert case.exposes
    assert case.mask_BTS.shape == (B, T, T)
    assert case.mask_BTS.dtype == np.bool_
    for array in (case.tokens_BT, case.positions_BT, case.token_types_BT, case.segments_BT):
        assert array is None or (array.shape, array.dtype) == ((B, T), np.int32)
    assert (case.positions_BT is None) == (case.token_types_BT is None) == (name == "batch-equals-length")


@pytest.mark.parametrize("name", CASE_NAMES)
def test_equal_seeds_give_equal_cases_and_others_do_not(name):
    first, again, other = make_case(name, SIZES), make_case(name, SIZES), make_case(name, toy.sizes(seed=1))
    for field in dataclasses.fields(Case):
        assert np.array_equal(getattr(first, field.name), getattr(again, field.name))
    assert not np.array_equal(first.tokens_BT, other.tokens_BT)


@pytest.mark.parametrize("name", CASE_NAMES)
def test_padding_neither_sees_nor_is_seen(name):
    case = make_case(name, SIZES)
    assert not case.mask_BTS[~case.seen_BS].any()
    assert not case.mask_BTS.swapaxes(1, 2)[~case.seen_BS].any()
    if case.segments_BT is not None:
        assert (case.mask_BTS == from_segments(case.segments_BT)).all()


def test_a_model_without_token_types_gets_none():
    assert all(make_case(name, toy.sizes(num_token_types=0)).token_types_BT is None for name in CASE_NAMES)


def test_masks_from_segments():
    mask_BTS = from_segments(np.array([[1, 1, 2, 0]]))
    assert mask_BTS.astype(int).tolist() == [[[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]]


def test_packed_positions_restart():
    case = make_case("packed", SIZES)
    assert case.segments_BT[0].tolist() == [1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3]
    assert case.positions_BT[0].tolist() == [0, 1, 2, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5]
    assert case.segments_BT[1, -2:].tolist() == [0, 0]


def test_left_padding_starts_at_position_zero():
    case = make_case("left-padding", SIZES)
    assert case.seen_BS[-1].tolist() == [False] * 11 + [True] * 2
    assert case.positions_BT[-1].tolist() == [0] * 12 + [1]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"batch": 4}, "cases need a batch of at least 5 and a length of 12 to max_len = 37, got 4 x 13"),
        ({"length": 11}, "got 5 x 11"),
        ({"length": 38}, "got 5 x 38"),
        ({"vocab_size": 15}, "cases need a vocabulary of at least 16 tokens, got 15"),
    ],
)
def test_sizes_that_no_case_fits_are_refused(changes, text):
    with pytest.raises(ValueError, match=text):
        toy.sizes(**changes)
