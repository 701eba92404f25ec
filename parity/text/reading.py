"""What a side makes of texts before any network, and how two sides' are compared: by text and token.

Axes: I texts, T columns of the padded batch, N tokens of one text.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from parity.judge.compare import Comparison, compare
from parity.text.corpus import Text

Rows = tuple[np.ndarray, ...]
# How a side spells a token.
Spell = Callable[[int], str]

# Characters of a text, and tokens on each side of the first that differs, that are shown.
_TEXT, _AROUND = 60, 4


class Reading(NamedTuple):
    """What a network is fed of some texts: an array a text, of the tokens that are attended to.

    Attributes:
        ids: [N] each.
        special: whether a token was put around the text, and is none of its own.
        types: the first text's or the second's.
        mask: [I, T], which columns of the batch are attended to.
        positions: counted from 0.
    """

    ids: Rows
    special: Rows
    types: Rows
    mask: np.ndarray
    positions: Rows


def share_apart(one: Reading, other: Reading) -> float:
    """The share of texts of which a network would be fed something else; where padding stands is no part of it."""
    return len(apart(one, other)) / max(len(one.ids), 1)


def apart(one: Reading, other: Reading, names: Sequence[str] = ("ids", "special", "types", "positions")) -> list[int]:
    """The texts of which any of these parts differs."""
    return [
        index
        for index in range(len(one.ids))
        if any(not _same(getattr(one, name)[index], getattr(other, name)[index]) for name in names)
    ]


def only(reading: Reading, texts: Sequence[int]) -> Reading:
    """The reading of some of the texts, in the columns that they had."""
    rows = {name: tuple(getattr(reading, name)[index] for index in texts) for name in Reading._fields if name != "mask"}
    return Reading(mask=reading.mask[list(texts)], **rows)


def compare_readings(
    ours: Reading, theirs: Reading, texts: Sequence[Text], spell: tuple[Spell, Spell]
) -> list[Comparison]:
    """Compares part by part; of each that differs the first text is shown, and where in it.

    Types and special tokens that neither side has are left out: nothing is compared there.

    Args:
        ours, theirs: of the same texts.
        texts: as they were given.
        spell: how each side spells its tokens.
    """
    found = []
    for name in Reading._fields:
        one, other = getattr(ours, name), getattr(theirs, name)
        if name in ("types", "special") and not any(row.any() for row in (*one, *other)):
            continue
        if name == "mask":
            found.append(compare(name, *_as_wide(one, other), allowed=0.0))
            continue
        lines = _tokens(ours, theirs, spell) if name in ("ids", "special") else None
        found.append(compare_rows(name, one, other, texts, lines))
    return found


def compare_rows(
    site: str, ours: Rows, theirs: Rows, texts: Sequence[Text], lines: Callable[[int, int], list[str]] | None = None
) -> Comparison:
    """Compares whole numbers text by text, exactly.

    Args:
        site: name of the value.
        ours, theirs: an array a text.
        texts: for the message.
        lines: shows a text around a token, given the numbers of both.
    """
    pairs = list(zip(ours, theirs, strict=True))
    wrong = [index for index, (one, other) in enumerate(pairs) if not _same(one, other)]
    total = sum(max(len(one), len(other)) for one, other in pairs)
    shape = (len(pairs), max((len(one) for one in ours), default=0))
    every = np.concatenate([np.zeros(0, np.int64), *theirs])
    dtype = str(ours[0].dtype) if ours else "int64"
    found = Comparison(
        *(site, shape, dtype, 0.0, 0.0),
        compared=total,
        scale=float(abs(every).max(initial=0)),
        spread=float(np.ptp(every)) if every.size else 0.0,
    )
    if not wrong:
        return found
    index = wrong[0]
    one, other = pairs[index]
    at = _first(one, other)
    differing = sum(int((a[: len(b)] != b[: len(a)]).sum()) + abs(len(a) - len(b)) for a, b in pairs)
    said = (
        f"text {index} of {len(pairs)}, {shown(texts[index])}, token {at}: JAX {_at(one, at)}, torch {_at(other, at)}"
    )
    said += f"; {len(wrong)} of {len(pairs)} texts differ"
    problem = "\n".join([said, *(lines(index, at) if lines else [])])
    found = found._replace(error=differing / max(total, 1), problem=problem)
    if at >= min(len(one), len(other)):
        return found
    return found._replace(worst_index=(index, at), actual=one[at].item(), expected=other[at].item())


def shown(text: Text) -> str:
    """A text as Python writes it, cut in the middle if it is long."""
    if isinstance(text, tuple):
        return " and ".join(map(shown, text))
    written = ascii(text) if any(not char.isprintable() for char in text) else repr(text)
    return written if len(written) <= _TEXT else f"{written[: _TEXT // 2]}...{written[-_TEXT // 2 :]}"


def _tokens(ours: Reading, theirs: Reading, spell: tuple[Spell, Spell]) -> Callable[[int, int], list[str]]:
    """Shows both sides' tokens around one."""

    def lines(index: int, at: int) -> list[str]:
        sides = zip(("JAX  ", "torch"), (ours.ids[index], theirs.ids[index]), spell, strict=True)
        return [f"{name} {_around(ids, at, one)}" for name, ids, one in sides]

    return lines


def _around(ids: np.ndarray, at: int, spell: Spell) -> str:
    start, end = max(at - _AROUND, 0), at + _AROUND + 1
    tokens = " ".join(spell(int(one)) for one in ids[start:end])
    return f"{'... ' * (start > 0)}{tokens}{' ...' * (end < len(ids))} ({len(ids)} tokens)"


def _at(row: np.ndarray, at: int) -> str:
    return str(row[at].item()) if at < len(row) else "none"


def _first(one: np.ndarray, other: np.ndarray) -> int:
    """The first token that differs; the length of the shorter where one goes on."""
    length = min(len(one), len(other))
    differs = np.flatnonzero(one[:length] != other[:length])
    return int(differs[0]) if differs.size else length


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and bool((one == other).all())


def _as_wide(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both masks with as many columns; what a narrower batch lacks is padding."""
    width = max(one.shape[1], other.shape[1], 1)
    a, b = (np.pad(mask, ((0, 0), (0, width - mask.shape[1]))) for mask in (one, other))
    return a, b
