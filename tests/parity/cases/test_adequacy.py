import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from parity.cases.adequacy import inadequacies
from parity.cases.case import Case, from_segments, make_case
from tests.parity import helpers as toy

SIZES = toy.sizes()
FULL = from_segments(np.ones((5, 13), np.int32))
COLUMNS = np.broadcast_to(np.arange(13, dtype=np.int32), (5, 13))


def set_to(**values) -> Callable[[Case], Case]:
    return lambda case: dataclasses.replace(case, **values)


def edited(field: str, edit: Callable[[np.ndarray], object]) -> Callable[[Case], Case]:
    def change(case: Case) -> Case:
        array = getattr(case, field).copy()
        edit(array)
        return dataclasses.replace(case, **{field: array})

    return change


def put(where, value) -> Callable[[np.ndarray], object]:
    return lambda array: array.__setitem__(where, value)


ONE_LENGTH = from_segments((COLUMNS < 9).astype(np.int32))
SPOILED = {
    "token out of range": ("ragged", edited("tokens_BT", put((0, 0), 61)), ["a token is outside 0 to 60"]),
    "negative token": ("ragged", edited("tokens_BT", put((0, 0), -1)), ["a token is outside 0 to 60"]),
    "position out of range": ("ragged", edited("positions_BT", put((0, 0), 37)), ["a position is outside 0 to 36"]),
    "type out of range": ("ragged", edited("token_types_BT", put((0, 0), 3)), ["a token type is outside 0 to 2"]),
    "one token everywhere": ("ragged", edited("tokens_BT", put(..., 7)), ["fewer than two different tokens are seen"]),
    "one type": ("ragged", edited("token_types_BT", put(..., 2)), ["fewer than two different token types are seen"]),
    "not ragged": ("ragged", set_to(mask_BTS=ONE_LENGTH), ["all rows have one length"]),
    "not padded": ("ragged", set_to(mask_BTS=FULL), ["all rows have one length", "no row is padded on the right"]),
    "no holes": (
        "holes",
        set_to(mask_BTS=FULL),
        [
            "no padding lies between tokens",
            "the mask equals its transpose",
            "all queries of the first row see the same keys",
        ],
    ),
    "not on the left": (
        "left-padding",
        set_to(mask_BTS=FULL, positions_BT=COLUMNS),
        ["no row is padded on the left", "every position is its column"],
    ),
    "left without positions": ("left-padding", set_to(positions_BT=None), ["every position is its column"]),
    "several tokens": ("one-token", set_to(mask_BTS=FULL), ["no row with one token stands beside a row with several"]),
    "no row masked": (
        "fully-masked-row",
        set_to(mask_BTS=FULL),
        ["no row without any token stands beside a row with some", "no query that is seen sees nothing"],
    ),
    "one document": (
        "packed",
        set_to(mask_BTS=FULL, positions_BT=COLUMNS),
        ["no two tokens of a row are kept apart", "positions restart nowhere"],
    ),
    "packed without positions": ("packed", set_to(positions_BT=None), ["positions restart nowhere"]),
    "short": (
        "longer-than-window",
        set_to(mask_BTS=from_segments((COLUMNS < 4).astype(np.int32))),
        ["no query may attend to a key at distance 4, where a window of 3 shows"],
    ),
    "not square": ("batch-equals-length", set_to(tokens_BT=COLUMNS, mask_BTS=FULL), ["B and T differ: (5, 13)"]),
    "low variance moved": (
        "low-variance",
        edited("tokens_BT", put((2, 0), 60)),
        ["token 60 is seen at columns [0, 1] with types "],
    ),
    "low variance gone": ("low-variance", set_to(low_variance=()), ["no token has a variance near epsilon"]),
    "poison seen": (
        "nan-padding",
        edited("tokens_BT", put((0, 0), 60)),
        ["the poisoned token, 60, must occur, at padding only"],
    ),
    "no poison": ("nan-padding", edited("tokens_BT", put(..., COLUMNS)), ["the poisoned token, 60, must occur"]),
}


@pytest.mark.parametrize(("name", "spoil", "reasons"), SPOILED.values(), ids=SPOILED)
def test_a_spoiled_case_is_not_adequate(name, spoil, reasons):
    found = inadequacies(spoil(make_case(name, SIZES)), SIZES)
    assert len(found) == len(reasons)
    assert all(text.startswith(reason) for text, reason in zip(found, reasons, strict=True))


def test_one_type_is_enough_for_a_model_that_has_one():
    assert inadequacies(make_case("ragged", toy.sizes(num_token_types=1)), toy.sizes(num_token_types=1)) == ()


@pytest.mark.parametrize(("size", "letter"), [(5, "B"), (13, "T")])
def test_a_batch_or_length_that_the_model_has_too_is_not_adequate(size, letter):
    sizes = toy.sizes(model_sizes=(size, 8))
    [reason] = inadequacies(make_case("ragged", sizes), sizes)
    assert reason == f"{letter} = {size} is also a size of the model: swapped axes would go unnoticed"


def test_a_square_batch_is_adequate_only_where_it_is_meant():
    sizes = toy.sizes(batch=13)
    assert inadequacies(make_case("ragged", sizes), sizes) == ("B = T = 13: swapped axes would go unnoticed",)
    assert inadequacies(make_case("batch-equals-length", sizes), sizes) == ()


def test_a_window_as_long_as_the_input_is_not_adequate():
    sizes = toy.sizes(windows=(12, None, 3))
    assert inadequacies(make_case("longer-than-window", sizes), sizes) == (
        "no query may attend to a key at distance 13, where a window of 12 shows",
    )
