"""Mistakes in an optimizer and its learning rate, made in the reference."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from parity.bugs.bug import Bug
from parity.encoder.torch_optimizer import Groups, Make, Params, Recipe, adam, two_groups
from parity.optimizer import Settings
from torch_ref import training

_ADAMW, _ADAM, _EVERY = ("adamw",), ("adamw", "adam"), ("adamw", "adam", "sgd")
_UPDATE = r"step\d+\.update\..*"
_COUPLING = r"step\d+\.(first_moment|second_moment|update)\..*"
_CLIPPED = r"step\d+\.clipped_gradient\..*"
_RATE = r"schedule|step\d+\.learning_rate"


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerBug(Bug):
    """A mistake between the gradient and the new parameter.

    Attributes:
        plant: makes it in a recipe of the reference.
        optimizers: in which it can be made.
        variant, case: what exposes it; the case is the magnitude of the gradients.
    """

    plant: Callable[[Recipe], Recipe]
    optimizers: tuple[str, ...] = _ADAMW
    variant: str = "adamw-cosine"
    case: str = "gradient-1"


class WrittenAdamW(torch.optim.AdamW):
    """AdamW with every part of its step in a method of its own, so that one can be done wrongly."""

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                state["step"] += 1
                self.move(parameter, state, group)

    def move(self, parameter: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        """One parameter's step."""
        (b1, b2), count = group["betas"], self.counted(float(state["step"]))
        parameter.mul_(1 - self.decay(group))
        first, second = state["exp_avg"], state["exp_avg_sq"]
        first.mul_(b1).add_(parameter.grad, alpha=1 - b1)
        second.mul_(b2).add_(self.squared(parameter.grad), alpha=1 - b2)
        direction = self.corrected(first, b1, count) / self.root(self.corrected(second, b2, count), group["eps"])
        parameter.sub_(group["lr"] * direction)

    def counted(self, count: float) -> float:
        """The number of steps that the correction goes by."""
        return count

    def corrected(self, moment: Tensor, decay: float, count: float) -> Tensor:
        """Corrects for the start at 0."""
        return moment / (1 - decay**count)

    def squared(self, gradient: Tensor) -> Tensor:
        """What the second moment is a mean of."""
        return gradient.square()

    def root(self, second: Tensor, eps: float) -> Tensor:
        """What the first moment is divided by."""
        return second.sqrt() + eps

    def decay(self, group: dict[str, Any]) -> float:
        """The share of a parameter that decay takes."""
        return group["lr"] * group["weight_decay"]


class _EpsInRoot(WrittenAdamW):
    def root(self, second: Tensor, eps: float) -> Tensor:
        return (second + eps).sqrt()


class _NotCorrected(WrittenAdamW):
    def corrected(self, moment: Tensor, decay: float, count: float) -> Tensor:
        return moment


class _CountsFromZero(WrittenAdamW):
    def counted(self, count: float) -> float:
        return count - 1


class _DecaysAlone(WrittenAdamW):
    def decay(self, group: dict[str, Any]) -> float:
        return group["weight_decay"]


class _DecaysLast(WrittenAdamW):
    def move(self, parameter: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        super().move(parameter, state, group | {"weight_decay": 0.0})
        parameter.mul_(1 - self.decay(group))


class _NotSquared(WrittenAdamW):
    def squared(self, gradient: Tensor) -> Tensor:
        return gradient.abs()


def _made(make: Make) -> Callable[[Recipe], Recipe]:
    return lambda recipe: dataclasses.replace(recipe, make=make)


def _number(**changes: Any) -> Callable[[Recipe], Recipe]:
    return lambda recipe: recipe.set(**changes)


def _clipped(clip: Callable[[Sequence[Tensor], float], Tensor]) -> Callable[[Recipe], Recipe]:
    return lambda recipe: dataclasses.replace(recipe, clip=clip)


def _rated(rate: Callable[[Any, int, int], float]) -> Callable[[Recipe], Recipe]:
    return lambda recipe: dataclasses.replace(recipe, learning_rate=rate)


def _grouped(groups: Callable[[Params, Params, float], Groups]) -> Callable[[Recipe], Recipe]:
    return lambda recipe: dataclasses.replace(recipe, groups=groups)


def _amsgrad(groups: Groups, settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, betas=(settings.b1, settings.b2), eps=settings.eps, amsgrad=True)


def _betas_swapped(groups: Groups, settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, betas=(settings.b2, settings.b1), eps=settings.eps)


def _dampened(groups: Groups, settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, momentum=settings.momentum, dampening=settings.momentum)


def _default_decay(decayed: Params, rest: Params, weight_decay: float) -> Groups:
    return [{"params": decayed}, {"params": rest, "weight_decay": 0.0}]


def _all_decay(decayed: Params, rest: Params, weight_decay: float) -> Groups:
    return two_groups(decayed + rest, [], weight_decay)


def _others_decay(decayed: Params, rest: Params, weight_decay: float) -> Groups:
    return two_groups(rest, decayed, weight_decay)


def _torch_clip(gradients: Sequence[Tensor], max_norm: float) -> Tensor:
    """What `torch.nn.utils.clip_grad_norm_` does: divides by the norm + 1e-6."""
    norm = torch.nn.utils.get_total_norm(gradients)
    for gradient in gradients:
        gradient.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0))
    return norm


def _norm_only(gradients: Sequence[Tensor], max_norm: float) -> Tensor:
    return training.clip(gradients, float("inf"))


def _clip_each(gradients: Sequence[Tensor], max_norm: float) -> Tensor:
    norm = _norm_only(gradients, max_norm)
    for gradient in gradients:
        training.clip([gradient], max_norm)
    return norm


def _clip_values(gradients: Sequence[Tensor], max_norm: float) -> Tensor:
    norm = _norm_only(gradients, max_norm)
    for gradient in gradients:
        gradient.clamp_(-max_norm, max_norm)
    return norm


def _norm_of_norms(gradients: Sequence[Tensor], max_norm: float) -> Tensor:
    """The norms of the parameters are added up as if they were squares."""
    norm = torch.stack([gradient.norm() for gradient in gradients]).sum().sqrt()
    for gradient in gradients:
        gradient.mul_((max_norm / norm).clamp(max=1.0))
    return norm


def _constant(settings: Any, steps: int, step: int) -> float:
    return settings.learning_rate


def _without_warmup(settings: Any, steps: int, step: int) -> float:
    return training.learning_rate(settings, steps, max(step, settings.warmup_steps))


def _warmup_from_zero(settings: Any, steps: int, step: int) -> float:
    if step < settings.warmup_steps:
        return settings.learning_rate * step / settings.warmup_steps
    return training.learning_rate(settings, steps, step)


def _warmup_counted_in(settings: Any, steps: int, step: int) -> float:
    """The fall begins at step 0, hidden at first by the warm-up."""
    fall = training.learning_rate(dataclasses.replace(settings, warmup_steps=0), steps, step)
    return min(fall, training.learning_rate(settings, steps, step)) if step < settings.warmup_steps else fall


def _late(settings: Any, steps: int, step: int) -> float:
    return training.learning_rate(settings, steps, max(step - 1, 0))


_EPOCH = 4  # steps, for the mistake below


def _by_epoch(settings: Any, steps: int, step: int) -> float:
    return training.learning_rate(settings, steps, step - step % _EPOCH)


OPTIMIZER_BUGS: tuple[OptimizerBug, ...] = (
    OptimizerBug(
        name="adam-eps",
        mistake="Adam's epsilon is 1e-6 for 1e-8",
        where=_UPDATE,
        plant=_number(eps=1e-6),
        optimizers=_ADAM,
        case="gradient-1e-7",
    ),
    OptimizerBug(
        name="adam-eps-root",
        mistake="Adam's epsilon is added inside the root",
        where=_UPDATE,
        plant=_made(adam(_EpsInRoot)),
        case="gradient-1e-4",
    ),
    OptimizerBug(
        name="adam-no-bias-correction",
        mistake="Adam's moments are not corrected for their start at 0",
        where=_UPDATE,
        plant=_made(adam(_NotCorrected)),
    ),
    OptimizerBug(
        name="adam-count-from-zero",
        mistake="the bias correction counts the steps before this one, not this one too",
        where=_UPDATE,
        plant=_made(adam(_CountsFromZero)),
        source="optax#415",
    ),
    OptimizerBug(
        name="adam-count-restarted",
        mistake="the optimizer is made anew with the old moments, and counts from 0 again",
        where=r"step\d+\.count",
        plant=lambda recipe: dataclasses.replace(recipe, restored=lambda _: 0),
        optimizers=_ADAM,
    ),
    OptimizerBug(
        name="adam-b1",
        mistake="the first moment decays by 0.95 for 0.9",
        where=r"step\d+\.(first_moment|update)\..*",
        plant=_number(b1=0.95),
        optimizers=_ADAM,
    ),
    OptimizerBug(
        name="adam-b2",
        mistake="the second moment decays by 0.999 for 0.98",
        where=r"step\d+\.(second_moment|update)\..*",
        plant=_number(b2=0.999),
        optimizers=_ADAM,
    ),
    OptimizerBug(
        name="adam-betas-swapped",
        mistake="the two decays of Adam's moments are in each other's place",
        where=_COUPLING,
        plant=_made(_betas_swapped),
    ),
    OptimizerBug(
        name="adam-not-squared",
        mistake="the second moment is a mean of magnitudes, not of squares",
        where=r"step\d+\.second_moment\..*",
        plant=_made(adam(_NotSquared)),
        case="gradient-1e-4",
    ),
    OptimizerBug(
        name="amsgrad-on",
        mistake="Adam divides by the largest second moment so far",
        where=_UPDATE,
        plant=_made(_amsgrad),
    ),
    OptimizerBug(
        name="decay-coupled",
        mistake="weight decay is added to the gradient, not to the update",
        where=_COUPLING,
        plant=_made(adam(torch.optim.Adam)),
        source="optax#417",
    ),
    OptimizerBug(
        name="decay-decoupled",
        mistake="weight decay is added to the update, not to the gradient",
        where=_COUPLING,
        plant=_made(adam(torch.optim.AdamW)),
        optimizers=("adam",),
        variant="adam-cosine",
    ),
    OptimizerBug(
        name="decay-default",
        mistake="weight decay is left at torch's default, 1e-2",
        where=_UPDATE,
        plant=_grouped(_default_decay),
    ),
    OptimizerBug(
        name="decay-missing",
        mistake="there is no weight decay",
        where=_UPDATE,
        plant=_number(weight_decay=0.0),
        optimizers=_EVERY,
    ),
    OptimizerBug(
        name="decay-mask-all",
        mistake="norms and biases are decayed, too",
        where=_UPDATE,
        plant=_grouped(_all_decay),
        optimizers=_EVERY,
        source="transformers#11936",
    ),
    OptimizerBug(
        name="decay-mask-flipped",
        mistake="norms and biases are decayed, and nothing else",
        where=_UPDATE,
        plant=_grouped(_others_decay),
        optimizers=_EVERY,
        source="transformers#18273",
    ),
    OptimizerBug(
        name="decay-not-times-lr",
        mistake="weight decay is not multiplied by the learning rate",
        where=_UPDATE,
        plant=_made(adam(_DecaysAlone)),
    ),
    OptimizerBug(
        name="decay-last",
        mistake="weight decay is taken from the parameters that have moved already",
        where=_UPDATE,
        plant=_made(adam(_DecaysLast)),
    ),
    OptimizerBug(
        name="clip-eps",
        mistake="gradients are clipped to max_norm / (norm + 1e-6), as torch's own function does",
        where=_CLIPPED,
        plant=_clipped(_torch_clip),
        optimizers=_EVERY,
        source="spd#643",
    ),
    OptimizerBug(
        name="clip-missing",
        mistake="gradients are not clipped",
        where=_CLIPPED,
        plant=_clipped(_norm_only),
        optimizers=_EVERY,
    ),
    OptimizerBug(
        name="clip-per-parameter",
        mistake="every parameter's gradient is clipped by its own norm",
        where=_CLIPPED,
        plant=_clipped(_clip_each),
        optimizers=_EVERY,
    ),
    OptimizerBug(
        name="clip-by-value",
        mistake="every entry of a gradient is clipped by itself",
        where=_CLIPPED,
        plant=_clipped(_clip_values),
        optimizers=_EVERY,
    ),
    OptimizerBug(
        name="clip-norm-of-norms",
        mistake="the global norm adds up the parameters' norms, not their squares",
        where=r"step\d+\.(global_norm|clipped_gradient\..*)",
        plant=_clipped(_norm_of_norms),
        optimizers=_EVERY,
    ),
    OptimizerBug(
        name="schedule-off-by-one",
        mistake="every step has the learning rate of the step before it",
        where=_RATE,
        plant=_rated(_late),
        optimizers=_EVERY,
        source="optax#415",
    ),
    OptimizerBug(
        name="schedule-constant",
        mistake="the learning rate is the highest throughout",
        where=_RATE,
        plant=_rated(_constant),
        optimizers=_EVERY,
    ),
    OptimizerBug(
        name="schedule-no-warmup",
        mistake="the warm-up is left out",
        where=_RATE,
        plant=_rated(_without_warmup),
        optimizers=_EVERY,
    ),
    OptimizerBug(
        name="schedule-warmup-from-zero",
        mistake="the warm-up starts at 0 and wastes a step",
        where=_RATE,
        plant=_rated(_warmup_from_zero),
        optimizers=_EVERY,
    ),
    OptimizerBug(
        name="schedule-warmup-counted-in",
        mistake="the fall begins with the first step, not after the warm-up",
        where=_RATE,
        plant=_rated(_warmup_counted_in),
        optimizers=_EVERY,
        variant="adamw-linear",
    ),
    OptimizerBug(
        name="schedule-by-epoch",
        mistake="the learning rate is set once in four steps",
        where=_RATE,
        plant=_rated(_by_epoch),
        optimizers=_EVERY,
        variant="adamw-wsd",
    ),
    OptimizerBug(
        name="momentum-dampening",
        mistake="the gradient enters the momentum with a weight of 1 - momentum",
        where=r"step\d+\.first_moment\..*",
        plant=_made(_dampened),
        optimizers=("sgd",),
        variant="sgd-linear",
    ),
    OptimizerBug(
        name="momentum-decay",
        mistake="the momentum decays by 0.99 for 0.9",
        where=r"step\d+\.(first_moment|update)\..*",
        plant=_number(momentum=0.99),
        optimizers=("sgd",),
        variant="sgd-linear",
    ),
    OptimizerBug(
        name="nesterov-on",
        mistake="Nesterov's momentum is on",
        where=_UPDATE,
        plant=_number(nesterov=True),
        optimizers=("sgd",),
        variant="sgd-linear",
    ),
    OptimizerBug(
        name="nesterov-off",
        mistake="Nesterov's momentum is off",
        where=_UPDATE,
        plant=_number(nesterov=False),
        optimizers=("sgd",),
        variant="sgd-nesterov",
    ),
)
