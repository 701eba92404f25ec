"""Names the mistake behind a difference: each one of the catalogue is made on purpose, and tried on the block.

Fed with what the reference computed before the block, a reference with the mistake in it either computes what ours
does (then ours makes the mistake), or a sound reference does and one with the mistake computes what this one did (then
the reference makes it).
"""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from parity import torch_graph
from parity.bugs.catalogue import MODEL_BUGS
from parity.bugs.model import ModelBug
from parity.compare import SEMANTIC
from parity.encoder.backward import name_of
from parity.encoder.inputs import Inputs, array
from parity.encoder.sides import LOSSES, TorchSide, planted, run_torch
from parity.locate import is_derivative
from parity.subject import Difference
from parity.verdict import Explanation

Arrays = Mapping[str, np.ndarray]

# Scores are of order 1: what is below was put there.
_FILL = -1e3


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of a failing case.

    Attributes:
        sound: a reference without mistakes, with the parameters of both sides.
        inputs: the case.
        overrides: parameters that this case needs others of.
        values: what the failing reference computed.
        cotangents: loss -> its cotangents.
    """

    sound: TorchSide
    inputs: Inputs
    overrides: Mapping[str, torch.Tensor]
    values: Arrays
    cotangents: Mapping[str, Arrays]


def explain(evidence: Evidence, differences: Sequence[Difference]) -> list[tuple[Explanation, ...]]:
    """For every difference the mistakes that explain it, the best first."""
    sound = _computed(evidence, evidence.sound, differences)
    found: list[list[Explanation]] = [[] for _ in differences]
    for bug in MODEL_BUGS:
        concerned = [i for i, one in enumerate(differences) if re.fullmatch(bug.where, one.site)]
        if not concerned or not bug.applies(evidence.inputs.config):
            continue
        found_with = _with_bug(evidence, bug, [differences[i] for i in concerned])
        for i in concerned:
            found[i] += _explanations(bug, found_with, sound, differences[i])
    return [tuple(sorted(one, key=_rank)) for one in found]


def _rank(explanation: Explanation) -> int:
    """Exact explanations first, and those equally good in the catalogue's order."""
    return 0 if explanation.residual < SEMANTIC else 1


def _explanations(bug: ModelBug, wrong: Arrays, sound: Arrays, difference: Difference) -> list[Explanation]:
    """Whether one mistake explains one difference, on either side."""
    site, ours, theirs = difference
    if site not in wrong or site not in sound or _residual(wrong[site], sound[site]) <= SEMANTIC:
        return []
    found = []
    if _residual(ours, wrong[site]) <= SEMANTIC:
        found.append(Explanation(bug.name, bug.mistake, "JAX", _residual(ours, wrong[site])))
    if _residual(ours, sound[site]) <= SEMANTIC and _residual(theirs, wrong[site]) <= SEMANTIC:
        found.append(Explanation(bug.name, bug.mistake, "torch", _residual(theirs, wrong[site])))
    return found


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


def _with_bug(evidence: Evidence, bug: ModelBug, differences: Sequence[Difference]) -> dict[str, np.ndarray]:
    """What a reference with the mistake computes at the sites; nothing if the mistake cannot be made here."""
    try:
        return _computed(evidence, planted(copy_of(evidence.sound), bug), differences)
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError):
        return {}  # another form of encoder than the one it is made for


def copy_of(side: TorchSide) -> TorchSide:
    """The same reference with parameters of its own."""
    other = TorchSide(side.lm.encoder.config, pooler=side.pooler is not None).double().eval()
    other.load_state_dict(side.state_dict())
    return other


def _computed(evidence: Evidence, side: TorchSide, differences: Sequence[Difference]) -> dict[str, np.ndarray]:
    """What a reference computes at the sites from the failing reference's values, and backward from its cotangents."""

    def function() -> Any:
        return torch.func.functional_call(side, dict(evidence.overrides), (evidence.inputs, run_torch))

    sites = [difference.site for difference in differences]
    backward = any(is_derivative(site) for site in sites)
    with torch.set_grad_enabled(backward):
        graph = torch_graph.trace(function)
        given = {
            name: torch.from_numpy(value.copy()).requires_grad_(backward)
            for name, value in evidence.values.items()
            if np.isfinite(value).all()
        }
        values = graph.replay(given)
        found = {name: array(value) for name, value in values.items() if name in sites}
        if not backward:
            return found
        params = dict(side.named_parameters()) | dict(evidence.overrides)
        for loss in LOSSES:
            if any(site.startswith(f"d({loss})") for site in sites):
                found |= _pulled_back(evidence, loss, values, given, params)
    return found


def _pulled_back(
    evidence: Evidence,
    loss: str,
    values: Mapping[str, torch.Tensor],
    given: Mapping[str, torch.Tensor],
    params: Mapping[str, torch.Tensor],
) -> dict[str, np.ndarray]:
    cotangents = evidence.cotangents[loss]
    names = [name for name in values if name in given and name in cotangents and values[name].requires_grad]
    seeds = [torch.from_numpy(cotangents[name].copy()) for name in names]
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
