"""Mistakes in StableAdamW, LAMB, Muon, averages and the newer schedules, made in the reference."""

from collections.abc import Callable

from parity.optimizer import layered_plants as plants
from parity.optimizer.catalogue import RATE, UPDATE, OptimizerBug
from parity.optimizer.plants import made, number, rated
from parity.optimizer.torch_side import Recipe, adam, muon
from torch_ref.optimizers import Lamb, Muon, StableAdamW

_AVERAGE = r"step\d+\.average\..*"
_KERNELS = r"step\d+\.(first_moment|second_moment|update)\..*\.kernel"


def _stable(name: str, mistake: str, kind: type[StableAdamW], case: str = "gradient-1") -> OptimizerBug:
    return _own("stable_adamw", "stable-adamw", (name, mistake), made(adam(kind)), case)


def _lamb(name: str, mistake: str, kind: type[Lamb]) -> OptimizerBug:
    return _own("lamb", "lamb", (name, mistake), made(adam(kind)), "gradient-1")


def _muon(name: str, mistake: str, kind: type[Muon], case: str = "gradient-1") -> OptimizerBug:
    return _own("muon", "muon", (name, mistake), made(muon(kind)), case)


def _own(
    optimizer: str, variant: str, said: tuple[str, str], plant: Callable[[Recipe], Recipe], case: str
) -> OptimizerBug:
    """A mistake that one optimizer alone can have."""
    name, mistake = said
    where = _KERNELS if optimizer == "muon" else UPDATE
    return OptimizerBug(
        name=name, mistake=mistake, where=where, plant=plant, optimizers=(optimizer,), variant=variant, case=case
    )


LAYERED_BUGS: tuple[OptimizerBug, ...] = (
    _stable(
        "stable-never-shorter",
        "the step is never shortened: plain AdamW",
        plants.NeverShorter,
    ),
    _stable(
        "stable-mean-square",
        "the step is shortened by the mean square of the surprise, not by its root",
        plants.MeanSquare,
    ),
    _stable(
        "stable-eps-not-squared",
        "the mean square is at least epsilon, not its square",
        plants.EpsNotSquared,
        case="gradient-1e-4",
    ),
    _stable(
        "stable-decays-in-full",
        "weight decay is not shortened with the step",
        plants.DecaysInFull,
    ),
    _stable(
        "stable-one-for-all",
        "one mean goes over many layers' parameters, not one over each",
        plants.OneSurprise,
    ),
    _lamb(
        "lamb-no-trust",
        "the step is not made as long as the parameter: plain AdamW",
        plants.NoTrust,
    ),
    _lamb(
        "lamb-trust-without-decay",
        "the length of the step is taken without weight decay",
        plants.TrustWithoutDecay,
    ),
    _lamb(
        "lamb-trust-clipped",
        "the step is made shorter, never longer",
        plants.TrustClipped,
    ),
    _lamb(
        "lamb-trust-inverted",
        "the ratio of lengths is turned round",
        plants.TrustInverted,
    ),
    _lamb(
        "lamb-trust-of-matrices",
        "steps of norms and biases keep their length",
        plants.TrustOfMatrices,
    ),
    _muon(
        "muon-not-nesterov",
        "the momentum is orthogonalised as it is, without Nesterov's look ahead",
        plants.PlainMomentum,
    ),
    _muon(
        "muon-momentum-summed",
        "the gradient enters Muon's momentum whole, not with a weight of 1 - momentum",
        plants.SummedMomentum,
    ),
    OptimizerBug(
        name="muon-momentum",
        mistake="Muon's momentum decays by 0.9 for 0.95",
        where=_KERNELS,
        plant=number(momentum=0.9),
        optimizers=("muon",),
        variant="muon",
    ),
    _muon(
        "muon-scale",
        "orthogonal steps are scaled by the root of the ratio of sides, as in Muon's first version",
        plants.WidthScale,
    ),
    _muon(
        "muon-iterations",
        "the iteration has four steps for five",
        plants.FewerSteps,
    ),
    _muon(
        "muon-eps",
        "Muon's epsilon is 1e-6 for 1e-7",
        plants.LargerEps,
        case="gradient-1e-7",
    ),
    OptimizerBug(
        name="average-of-before",
        mistake="the parameters before the step are averaged, not those after it",
        where=_AVERAGE,
        plant=plants.averaged(plants.average_of_before),
        variant="adamw-average",
    ),
    OptimizerBug(
        name="average-decay-swapped",
        mistake="the average takes as much of the new parameters as it should keep of the old",
        where=_AVERAGE,
        plant=plants.averaged(plants.average_swapped),
        variant="adamw-average",
    ),
    OptimizerBug(
        name="average-restarted",
        mistake="the average begins anew with every step",
        where=_AVERAGE,
        plant=plants.averaged(plants.average_restarted),
        variant="adamw-average",
    ),
    OptimizerBug(
        name="schedule-linear-fall",
        mistake="the fall at the end is a line, where it should be 1 - the root of the share that is over",
        where=RATE,
        plant=rated(plants.linear_fall),
        variant="adamw-wsd-sqrt",
    ),
    OptimizerBug(
        name="schedule-root-of-the-rest",
        mistake="the fall at the end is the root of the share to come, not 1 - the root of the share that is over",
        where=RATE,
        plant=rated(plants.root_of_the_rest),
        variant="adamw-wsd-sqrt",
    ),
    OptimizerBug(
        name="schedule-root-since-warmup",
        mistake="the inverse root counts from the end of the warm-up, not from the first step",
        where=RATE,
        plant=rated(plants.root_since_warmup),
        variant="adamw-inverse-root",
    ),
    OptimizerBug(
        name="schedule-root-from-zero",
        mistake="the inverse root counts the steps before this one, not this one too",
        where=RATE,
        plant=rated(plants.root_without_shift),
        variant="adamw-inverse-root",
    ),
)
