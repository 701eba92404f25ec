"""Names a mistake by making it on purpose: which known mistake turns what one side computes into what the other does.

What is tried, and how two results are told apart, differs from question to question. What follows from it does not.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from parity.judge.compare import SEMANTIC
from parity.judge.verdict import Explanation

Value = TypeVar("Value")


class Suspect(NamedTuple):
    """A known mistake: its name in the catalogue, and what is wrong, to follow "looks like"."""

    bug: str
    mistake: str


def explain(
    suspects: Iterable[tuple[Suspect, Value]],
    sound: Value,
    sides: tuple[Value, Value],
    residual: Callable[[Value, Value], float],
) -> tuple[Explanation, ...]:
    """The mistakes that explain why two sides differ, in the order given: where several do, none is better.

    Ours makes a mistake if it computes what a reference with that mistake does. The reference makes it if it computes
    that, and ours computes what a sound one does.

    Args:
        suspects: each mistake, and what a reference with it computes from what both sides were given.
        sound: what a reference without a mistake computes from that.
        sides: what ours and the reference did compute.
        residual: how far the first is from the second, relative to the second's scale.
    """
    ours, theirs = sides
    ours_is_sound = residual(ours, sound) <= SEMANTIC
    found = []
    for suspect, wrong in suspects:
        # A mistake that changes nothing here would "explain" whichever side has made none.
        if not residual(wrong, sound) > SEMANTIC:
            continue
        made = [("JAX", residual(ours, wrong))] + [("torch", residual(theirs, wrong))] * ours_is_sound
        found += [Explanation(*suspect, side, left) for side, left in made if left <= SEMANTIC]
    return tuple(found)
