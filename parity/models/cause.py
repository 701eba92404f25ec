"""Names a mistake at a parting: what either side computes there, as a known function of what both share."""

from typing import NamedTuple

from parity.models.align import Alignment
from parity.models.program import Node
from parity.models.rerun import Both, Pair


class Suspects(NamedTuple):
    """Where both part: the first operations of each, and all that follows from them."""

    nodes: tuple[tuple[Node, ...], tuple[Node, ...]]
    regions: tuple[frozenset[int], frozenset[int]]


def name_causes(
    both: Both, alignment: Alignment, suspects: Suspects
) -> tuple[tuple[str, ...], tuple[str, ...], Pair | None]:
    return (), (), None
