"""Names the mistake behind a difference: each one of the catalogue is made on purpose, and tried on the block.

Fed with what the reference computed before the block, a reference with the mistake in it either computes what ours
does (then ours makes the mistake), or a sound reference does and one with the mistake computes what this one did (then
the reference makes it).
"""

import dataclasses
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from parity.encoder.backward import name_of
from parity.encoder.bugs.catalogue import MODEL_BUGS
from parity.encoder.bugs.model import ModelBug
from parity.encoder.inputs import Inputs, array
from parity.encoder.sides import TorchSide, planted, run_torch
from parity.graph import torch_graph
from parity.judge import explain as planting
from parity.judge.compare import SEMANTIC
from parity.judge.locate import is_derivative
from parity.judge.subject import Difference
from parity.judge.verdict import Explanation

Arrays = Mapping[str, np.ndarray]

# Scores are of order 1: what is below was put there.
_FILL = -1e3


class Cotangents(NamedTuple):
    """What the failing reference computed backward: the loss, and the cotangent of every value."""

    loss: str
    values: Arrays


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of a failing case.

    Attributes:
        sound: a reference without mistakes, with the parameters of both sides.
        inputs: the case.
        overrides: parameters that this case needs others of.
        values: what the failing reference computed.
        cotangents: and backward; None if no derivative is to be explained.
    """

    sound: TorchSide
    inputs: Inputs
    overrides: Mapping[str, torch.Tensor]
    values: Arrays
    cotangents: Cotangents | None


def explain(
    evidence: Evidence,
    differences: Sequence[Difference],
    differing: Sequence[Difference],
    among: Collection[str] | None = None,
) -> list[tuple[Explanation, ...]]:
    """For every difference the mistakes that explain it, the likeliest first.

    That is the one that leaves at most sites what is there, on the side that makes it: one layer cannot tell a
    mistake in all layers from one in some, nor from one that gives other layers other values. Of several, the first
    in the catalogue.

    Args:
        evidence: of the case.
        differences: that are to be explained.
        differing: all differences of this part.
        among: names of the mistakes to try at all of them; None tries each where it can be made.
    """
    backward = any(is_derivative(one.site) for one in differences)
    with torch.set_grad_enabled(backward):
        graph = torch_graph.trace(_function(evidence, evidence.sound))
    sound = _computed(evidence, evidence.sound, graph, backward)
    seen = {one.site: one for one in differing}
    found: list[list[tuple[int, Explanation]]] = [[] for _ in differences]
    for bug in MODEL_BUGS:
        concerned = [
            i
            for i, one in enumerate(differences)
            if one.site in sound and (re.fullmatch(bug.where, one.site) if among is None else bug.name in among)
        ]
        if not concerned or not bug.applies(evidence.inputs.form):
            continue
        wrong = _with_bug(evidence, bug, graph, backward)
        made = {i: _made(bug, differences[i], sound, wrong) for i in concerned}
        misfits = {side: _misfits(side, sound, wrong, seen) for side in _sides(made.values())}
        for i, explanations in made.items():
            found[i] += [(misfits[one.side], one) for one in explanations]
    return [tuple(one for _, one in sorted(each, key=lambda ranked: ranked[0])) for each in found]


def _made(bug: ModelBug, difference: Difference, sound: Arrays, wrong: Arrays) -> tuple[Explanation, ...]:
    """Whether this mistake explains this difference, and on which side."""
    site, actual, expected = difference
    if site not in wrong:
        return ()
    suspect = planting.Suspect(bug.name, bug.mistake)
    return planting.explain([(suspect, wrong[site])], sound[site], (actual, expected), _residual)


def _sides(made: Iterable[tuple[Explanation, ...]]) -> set[str]:
    return {one.side for explanations in made for one in explanations}


def _misfits(side: str, sound: Arrays, wrong: Arrays, seen: Mapping[str, Difference]) -> int:
    """At how many sites a mistake would leave something else than the side that is said to make it has there."""

    def there(site: str) -> np.ndarray:
        if site not in seen:
            return sound[site]
        return seen[site].actual if side == "JAX" else seen[site].expected

    return sum(site not in wrong or _residual(wrong[site], there(site)) > SEMANTIC for site in sound)


def _residual(one: np.ndarray, other: np.ndarray) -> float:
    """Their difference relative to the other's scale; what is not finite, and a mask's fill, must be on both sides."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return math.inf
    special = ~np.isfinite(one) | ~np.isfinite(other) | (one <= _FILL) | (other <= _FILL)
    if not np.array_equal(one[special], other[special], equal_nan=True):
        return math.inf
    scale = float(np.abs(other[~special]).max(initial=0.0))
    largest = float(np.abs(one[~special] - other[~special]).max(initial=0.0))
    return largest / scale if scale else math.inf if largest else 0.0


def _with_bug(evidence: Evidence, bug: ModelBug, graph: torch_graph.Graph, backward: bool) -> Arrays:
    """What a reference with the mistake computes; nothing if the mistake cannot be made here."""
    try:
        return _computed(evidence, planted(copy_of(evidence.sound), bug), graph, backward)
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError):
        return {}  # another form of encoder than the one it is made for


def copy_of(side: TorchSide) -> TorchSide:
    """The same reference with parameters of its own."""
    other = TorchSide(side.form).double().eval()
    other.load_state_dict(side.state_dict())
    return other


def _function(evidence: Evidence, side: TorchSide) -> torch_graph.Function:
    return lambda: torch.func.functional_call(side, dict(evidence.overrides), (evidence.inputs, run_torch))


def _computed(evidence: Evidence, side: TorchSide, graph: torch_graph.Graph, backward: bool) -> Arrays:
    """What a reference computes from the failing reference's values, and backward from its cotangents.

    Args:
        evidence: of the case.
        side: the reference.
        graph: of the sound one.
        backward: whether derivatives are wanted.
    """
    with torch.set_grad_enabled(backward):
        given = {
            name: torch.from_numpy(value.copy()).requires_grad_(backward)
            for name, value in evidence.values.items()
            if np.isfinite(value).all()
        }
        values = graph.like(_function(evidence, side), given)
        found = {name: array(value) for name, value in values.items()}
        if not backward:
            return found
        assert evidence.cotangents is not None, "a derivative is explained with the cotangents of its loss"
        params = dict(side.named_parameters()) | dict(evidence.overrides)
        return found | _pulled_back(evidence.cotangents, values, given, params)


def _pulled_back(
    cotangents: Cotangents,
    values: Mapping[str, torch.Tensor],
    given: Mapping[str, torch.Tensor],
    params: Mapping[str, torch.Tensor],
) -> dict[str, np.ndarray]:
    loss, known = cotangents
    names = [
        name
        for name, value in values.items()
        if name in given and name in known and value.requires_grad and value.shape == known[name].shape
    ]
    seeds = [torch.from_numpy(known[name].copy()) for name in names]
    leaves = {**given, **params}
    grads = torch.autograd.grad(
        [values[name] for name in names],
        list(leaves.values()),
        seeds,
        retain_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )
    return {name_of(loss, name): array(grad) for name, grad in zip(leaves, grads, strict=True)}
