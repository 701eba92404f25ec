"""JAX's loops and branches, step by step: a scan over layers counts as its layers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr

from parity.errors import UsageError
from parity.models.program import Node, Place

_STEPS = 100_000  # of a while, before it is given up


def _scan(runner: Any, params: Mapping[str, Any], reads: Sequence[Node], place: Place) -> list[Node]:
    body, length = params["jaxpr"], params["length"]
    constants, carry, rows = _parts(params, reads)
    carried = len(carry)
    stacked: list[list[Node]] = []
    order = range(length - 1, -1, -1) if params["reverse"] else range(length)
    for step in order:
        here = [runner.note("slice", runner.values[one.index][step], [one], place) for one in rows]
        found = runner.run(body.jaxpr, runner.constants(body), [*constants, *carry, *here], place)
        carry = found[:carried]
        stacked.append(found[carried:])
    if params["reverse"]:
        stacked.reverse()
    if not length:
        shapes = [variable.aval for variable in body.jaxpr.outvars[carried:]]
        return [*carry, *(runner.leaf("constant", np.zeros((0, *one.shape), one.dtype)) for one in shapes)]
    columns = list(zip(*stacked, strict=True))
    return [*carry, *(_stack(runner, column, place) for column in columns)]


def _parts(params: Mapping[str, Any], reads: Sequence[Node]) -> tuple[list[Node], list[Node], list[Node]]:
    """What a scan reads: the same in every step, what one step hands to the next, and what it takes row by row."""
    if "ft_in" in params:  # as jax 0.12 tells them apart
        constants, carry, rows = (list(part) for part in params["ft_in"].update(list(reads)).unpack())
        return constants, carry, rows
    fixed, carried = params["num_consts"], params["num_carry"]
    return list(reads[:fixed]), list(reads[fixed : fixed + carried]), list(reads[fixed + carried :])


def _stack(runner: Any, nodes: Sequence[Node], place: Place) -> Node:
    node: Node = runner.note("stack", np.stack([runner.values[one.index] for one in nodes]), nodes, place)
    return node


def _while(runner: Any, params: Mapping[str, Any], reads: Sequence[Node], place: Place) -> list[Node]:
    test, body = params["cond_jaxpr"], params["body_jaxpr"]
    of_test, of_body = params["cond_nconsts"], params["body_nconsts"]
    carry = list(reads[of_test + of_body :])
    for _ in range(_STEPS):
        (going,) = runner.run(test.jaxpr, runner.constants(test), [*reads[:of_test], *carry], place)
        if not np.all(runner.values[going.index]):
            return carry
        inside = [*reads[of_test : of_test + of_body], *carry]
        carry = runner.run(body.jaxpr, runner.constants(body), inside, place)
    raise UsageError(f"the loop at {place} had not ended after {_STEPS:,} steps: compare what it is made of")


def _cond(runner: Any, params: Mapping[str, Any], reads: Sequence[Node], place: Place) -> list[Node]:
    which, branches = int(runner.values[reads[0].index]), params["branches"]
    branch: ClosedJaxpr = branches[min(max(which, 0), len(branches) - 1)]
    found: list[Node] = runner.run(branch.jaxpr, runner.constants(branch), reads[1:], place)
    return found


LOOPS: dict[str, Callable[[Any, Mapping[str, Any], Sequence[Node], Place], list[Node]]] = {
    "scan": _scan,
    "while": _while,
    "cond": _cond,
}
