"""What each way to say where arrays differ takes: the smallest example, and the one that is just not enough."""

import numpy as np
import pytest

from parity.judge.support import axes_of, indices, listed, support

WORDS = {
    "B": ("row", "rows"),
    "T": ("position", "positions"),
    "S": ("key position", "key positions"),
    "D": ("channel", "channels"),
    "E": ("embedding channel", "embedding channels"),
    "N": ("head", "heads"),
    "G": ("key head", "key heads"),
    "H": ("head channel", "head channels"),
    "F": ("MLP channel", "MLP channels"),
    "V": ("vocabulary entry", "vocabulary entries"),
    "L": ("layer", "layers"),
    "K": ("target", "targets"),
    "C": ("class", "classes"),
}


def at(shape: tuple[int, ...], *places) -> np.ndarray:
    """True at these places."""
    differs = np.zeros(shape, bool)
    for place in places:
        differs[place] = True
    return differs


def lines(differs: np.ndarray, letters: str = "", seen_BS: np.ndarray | None = None) -> tuple[str, ...]:
    return support(differs, axes_of(differs.shape, letters), seen_BS).lines


@pytest.mark.parametrize("letter", WORDS)
def test_every_axis_has_its_words(letter):
    (axis,) = axes_of((3,), letter)
    assert (axis.letter, axis.one, axis.many, axis.labels.tolist()) == (letter, *WORDS[letter], [0, 1, 2])


def test_letters_that_are_too_few_or_unknown_name_nothing():
    assert [axis.one for axis in axes_of((3, 4), "B")] == ["axis 0's index", "axis 1's index"]
    (axis,) = axes_of((3,), ("?",))
    assert (axis.letter, axis.one, axis.many) == ("?", "axis 0's index", "axis 0's indices")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (1, "0"),
        (2, "0 and 1"),
        (3, "0, 1 and 2"),
        (8, "0, 1, 2, 3, 4, 5, 6 and 7"),
        (9, "0, 1, 2, 3, ... (9 in all)"),
        (1234, "0, 1, 2, 3, ... (1,234 in all)"),
    ],
)
def test_what_is_listed_and_what_is_counted(count, text):
    assert listed(range(count)) == text


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        ([4, 6], "heads 4 and 6 (of 2,000)"),
        ([4, 6, 8], "heads 4, 6 and 8 (of 2,000)"),
        ([4, 6, 8, 10], "heads 4 to 10, every second (of 2,000)"),
        ([4, 7, 10, 13], "heads 4 to 13, one in 3 (of 2,000)"),
        ([4, 6, 8, 11], "heads 4, 6, 8 and 11 (of 2,000)"),
        ([4, 5, 6], "heads 4 to 6 (of 2,000)"),
        ([1997, 1998, 1999], "heads from 1997 on (of 2,000)"),
        ([1996, 1997, 1998], "heads 1996 to 1998 (of 2,000)"),
        ([1998, 1999], "heads 1998 and 1999 (of 2,000)"),
        ([1999], "head 1999 (of 2,000)"),
    ],
)
def test_indices_as_short_as_they_can_be_said(chosen, text):
    assert indices(np.array(chosen), axes_of((2000,), "N")[0]) == text


def test_labels_are_spoken_of_not_places():
    axis = axes_of((8,), "N")[0]
    assert indices(np.array([1, 2]), axis._replace(labels=axis.labels[::2])) == "heads 2 and 4 (of 4)"


# Single entries, scattered ones, blocks.


def diagonal(count: int, size: int) -> np.ndarray:
    return at((size, size), *((i, i) for i in range(count)))


def test_single_entries_fill_less_than_half_of_their_block():
    assert lines(at((5, 5), (1, 2))) == ("at 1 of 25 entries only: (1, 2)",)
    assert lines(at((1, 1), (0, 0))) == ()  # everywhere is nowhere in particular
    assert lines(at((5,), 3)) == ("at 1 of 5 entries only: 3",)
    assert lines(diagonal(3, 9)) == ("at 3 of 81 entries only: (0, 0), (1, 1), (2, 2)",)
    assert lines(diagonal(2, 9), "BD") == ("only at rows 0 and 1 (of 9) and channels 0 and 1 (of 9)",)  # half of four
    assert lines(diagonal(8, 9))[0].startswith("at 8 of 81 entries only: (0, 0), ")


def test_nine_entries_are_scattered_or_a_block():
    assert lines(diagonal(9, 20)) == ("at 9 of 400 entries only, scattered",)
    assert lines(diagonal(20, 20)) == ("at 20 of 400 entries only, scattered",)  # one in twenty
    assert lines(diagonal(19, 19)) == ()  # more than that
    assert lines(diagonal(40, 40)) == ("at 40 of 1,600 entries only, scattered",)
    dense = at((40, 40), (slice(0, 3), slice(0, 4)))
    assert lines(dense, "BD") == ("only at rows 0 to 2 (of 40) and channels 0 to 3 (of 40)",)
    half = dense & (np.indices((40, 40)).sum(axis=0) % 2 == 0)
    half[3, :4:2] = half[4, :4:2] = half[5, :4:2] = True
    assert half.sum() == 12 == (6 * 4) / 2
    assert lines(half, "BD") == ("only at rows 0 to 5 (of 40) and channels 0 to 3 (of 40)",)


def test_many_scattered_entries_are_counted_in_thousands():
    assert lines(diagonal(1200, 1200)) == ("at 1,200 of 1,440,000 entries only, scattered",)
    assert lines(at((30, 40), (3, 4)))[0].startswith("at 1 of 1,200 entries only: ")


def test_the_box_holds_the_indices_that_differ():
    box = support(at((4, 5), (1, 2), (3, 2)), axes_of((4, 5), "BD")).box
    assert [one.tolist() for one in box] == [[1, 3], [2]]


# Bands of queries and keys.


def band(wanted, shape: tuple[int, int] = (13, 13)) -> tuple[str, ...]:
    """What is said of queries and keys whose distance is wanted, in rows of equal length."""
    distances = np.arange(shape[1]) - np.arange(shape[0])[:, None]
    return lines(np.broadcast_to(wanted(distances), (3, *shape)), "BTS")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (lambda d: d >= 1, ("after their query",)),
        (lambda d: d <= -1, ("before their query",)),
        (lambda d: d >= 0, ()),
        (lambda d: d <= 0, ()),
        (lambda d: d >= -1, ()),
        (lambda d: d == 0, ("query's own position",)),
        (lambda d: d == 1, ("after their query", "keys 1 away from")),
        (lambda d: d == -4, ("before their query", "keys 4 away from")),
        (lambda d: abs(d) == 1, ("keys 1 away from",)),
        (lambda d: abs(d) >= 2, ("keys 2 or more away from",)),
        (lambda d: abs(d) >= 1, ()),  # all but one's own is no window
        (lambda d: d >= 2, ("after their query",)),
        (lambda d: d <= -2, ("before their query",)),
        (lambda d: abs(d) <= 6, ("keys up to 6 away from",)),
        (lambda d: abs(d) <= 7, ()),  # more than half of the row
        (lambda d: (d >= 1) & (d <= 3), ("after their query", "keys up to 3 away from")),
        (lambda d: (abs(d) >= 3) & (abs(d) <= 5), ("keys 3 or more away from",)),
        (lambda d: (d == -4) | (d == 5), ("keys 4 or more away from",)),
        (lambda d: (d == -5) | (d == 4), ("keys 4 or more away from",)),
    ],
)
def test_distances_are_told_where_they_say_something(wanted, said):
    found = band(wanted)
    assert len(found) == len(said)
    assert all(part in line for part, line in zip(said, found, strict=True))


def test_the_longer_side_decides_what_half_of_a_row_is():
    assert band(lambda d: abs(d) <= 3, (4, 9)) == ("only at keys up to 3 away from their query",)
    assert band(lambda d: (d <= 0) & (d >= -3), (9, 4)) == ("only at keys up to 3 away from their query",)
    assert band(lambda d: abs(d) <= 4, (4, 8)) == ()  # exactly half


def test_two_axes_of_one_letter_have_no_distance():
    differs = np.broadcast_to(np.eye(13, dtype=bool), (3, 13, 13))
    assert lines(differs, "BTT") == ()
    assert lines(differs, "BSS") == ()
    assert lines(differs, "BTS") == ("only at a query's own position",)


def test_along_other_axes_a_band_still_says_which():
    differs = np.zeros((3, 4, 13, 13), bool)
    differs[1, 2] = np.eye(13, dtype=bool)
    assert lines(differs, "BNTS") == ("at 13 of 2,028 entries only, scattered",)
    differs[1, 2] = np.tri(13, dtype=bool).T & ~np.eye(13, dtype=bool)
    assert lines(differs, "BNTS") == ("only at keys after their query", "only at head 2 (of 4)")


# The ends of rows, and what the mask says.


def rows(*counts: int, length: int = 7, start: bool = False) -> np.ndarray:
    """Rows that differ at so many positions at their end, or at their start."""
    columns = np.arange(length)
    return np.stack([columns < count if start else columns >= length - count for count in counts])


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((1, 2, 5), "only at the end of each row: positions from 6, 5 and 2 on"),
        ((0, 2, 5), "only at the end of each row: positions from 7, 5 and 2 on"),
        ((7, 2, 5), "only at the end of each row: positions from 0, 5 and 2 on"),
        ((3, 3, 3), "only at positions from 4 on (of 7)"),  # one length is a block
        ((0, 3, 3), "only at rows 1 and 2 (of 3) and positions from 4 on (of 7)"),
        ((7, 0, 7), "only at rows 0 and 2 (of 3)"),
    ],
)
def test_ends_of_rows_of_several_lengths(counts, said):
    assert lines(rows(*counts), "BT") == (said,)
    assert "end of each row" not in said or lines(rows(*counts).T, "TB") == (said,)


def test_ends_of_keys_and_starts():
    assert lines(rows(1, 2, 5), "BS") == ("only at the end of each row: key positions from 6, 5 and 2 on",)
    assert lines(rows(1, 2, 5, start=True), "BT") == ("only at the start of each row: the first 1, 2 and 5 positions",)
    assert lines(rows(1, 2, 5), "BD") == ("only at channels from 2 on (of 7)",)
    neither = rows(1, 2, 5)
    neither[2, 2], neither[2, 0] = False, True
    assert lines(neither, "BT") == ("only at positions 0, 3, 4, 5 and 6 (of 7)",)


def test_the_mask_is_asked_before_a_guess():
    seen_BS = ~rows(1, 2, 5)
    assert lines(rows(1, 2, 5), "BT", seen_BS) == ("only at positions that are padding, at every one",)
    assert lines(seen_BS, "BS", seen_BS) == ("only at key positions that are tokens, at every one",)
    some = rows(1, 2, 4)
    assert lines(some, "BT", seen_BS) == ("only at positions that are padding",)
    assert lines(rows(2, 2, 5), "BT", seen_BS) == lines(rows(2, 2, 5), "BT")
    assert lines(some, "BT", np.zeros_like(seen_BS)) == lines(some, "BT", np.ones_like(seen_BS)) == lines(some, "BT")
    assert lines(some, "BT", np.ones((3, 8), bool) & (np.arange(8) < 4)) == lines(some, "BT")  # of another length


def test_the_mask_is_asked_of_few_entries_too():
    seen_BS = ~rows(1, 2, 5)
    assert lines(at((3, 7), (2, 6)), "BT", seen_BS) == (
        "at 1 of 21 entries only: (2, 6)",
        "only at positions that are padding",
    )
    wide = np.zeros((40, 40), bool)
    wide[np.arange(40), np.arange(40)] = True
    assert lines(wide, "BT", ~np.eye(40, dtype=bool)) == (
        "at 40 of 1,600 entries only, scattered",
        "only at positions that are padding, at every one",
    )
