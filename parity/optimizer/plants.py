"""Ways to make a mistake in the reference's optimizer."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from parity.optimizer.settings import Settings
from parity.optimizer.torch_side import Groups, Make, Params, Recipe, two_groups
from torch_ref import training


class WrittenAdamW(torch.optim.AdamW):
    """AdamW with every part of its step in a method of its own, so that one can be done wrongly."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                state["step"] += 1
                self.move(parameter, state, group)

    def move(self, parameter: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        """One parameter's step."""
        (b1, b2), count = group["betas"], self.counted(float(state["step"]))
        parameter.mul_(1 - self.decay(group))
        first, second, gradient = state["exp_avg"], state["exp_avg_sq"], parameter.grad
        assert gradient is not None, "a parameter without a gradient"
        first.mul_(b1).add_(gradient, alpha=1 - b1)
        second.mul_(b2).add_(self.squared(gradient), alpha=1 - b2)
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


class EpsInRoot(WrittenAdamW):
    def root(self, second: Tensor, eps: float) -> Tensor:
        return (second + eps).sqrt()


class NotCorrected(WrittenAdamW):
    def corrected(self, moment: Tensor, decay: float, count: float) -> Tensor:
        return moment


class CountsFromZero(WrittenAdamW):
    def counted(self, count: float) -> float:
        return count - 1


class DecaysAlone(WrittenAdamW):
    def decay(self, group: dict[str, Any]) -> float:
        return group["weight_decay"]


class DecaysLast(WrittenAdamW):
    def move(self, parameter: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        super().move(parameter, state, group | {"weight_decay": 0.0})
        parameter.mul_(1 - self.decay(group))


class NotSquared(WrittenAdamW):
    def squared(self, gradient: Tensor) -> Tensor:
        return gradient.abs()


def made(make: Make) -> Callable[[Recipe], Recipe]:
    return lambda recipe: dataclasses.replace(recipe, make=make)


def number(**changes: Any) -> Callable[[Recipe], Recipe]:
    return lambda recipe: recipe.set(**changes)


def clipped(clip: Callable[[Sequence[Tensor], float], Tensor]) -> Callable[[Recipe], Recipe]:
    return lambda recipe: dataclasses.replace(recipe, clip=clip)


def rated(rate: Callable[[Any, int, int], float]) -> Callable[[Recipe], Recipe]:
    return lambda recipe: dataclasses.replace(recipe, learning_rate=rate)


def grouped(groups: Callable[[Params, Params, float], Groups]) -> Callable[[Recipe], Recipe]:
    return lambda recipe: dataclasses.replace(recipe, groups=groups)


def amsgrad(groups: Groups, settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, betas=(settings.b1, settings.b2), eps=settings.eps, amsgrad=True)


def betas_swapped(groups: Groups, settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, betas=(settings.b2, settings.b1), eps=settings.eps)


def dampened(groups: Groups, settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, momentum=settings.momentum, dampening=settings.momentum)


def default_decay(decayed: Params, rest: Params, weight_decay: float) -> Groups:
    return [{"params": decayed}, {"params": rest, "weight_decay": 0.0}]


def all_decay(decayed: Params, rest: Params, weight_decay: float) -> Groups:
    return two_groups(decayed + rest, [], weight_decay)


def others_decay(decayed: Params, rest: Params, weight_decay: float) -> Groups:
    return two_groups(rest, decayed, weight_decay)


def torch_clip(gradients: Sequence[Tensor], max_norm: float) -> Tensor:
    """What `torch.nn.utils.clip_grad_norm_` does: divides by the norm + 1e-6."""
    norm = torch.nn.utils.get_total_norm(gradients)
    for gradient in gradients:
        gradient.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0))
    return norm


def norm_only(gradients: Sequence[Tensor], max_norm: float) -> Tensor:
    return training.clip(gradients, float("inf"))


def clip_each(gradients: Sequence[Tensor], max_norm: float) -> Tensor:
    norm = norm_only(gradients, max_norm)
    for gradient in gradients:
        training.clip([gradient], max_norm)
    return norm


def clip_values(gradients: Sequence[Tensor], max_norm: float) -> Tensor:
    norm = norm_only(gradients, max_norm)
    for gradient in gradients:
        gradient.clamp_(-max_norm, max_norm)
    return norm


def norm_of_norms(gradients: Sequence[Tensor], max_norm: float) -> Tensor:
    """The norms of the parameters are added up as if they were squares."""
    norm = torch.stack([gradient.norm() for gradient in gradients]).sum().sqrt()
    for gradient in gradients:
        gradient.mul_((max_norm / norm).clamp(max=1.0))
    return norm


def constant(settings: Any, steps: int, step: int) -> float:
    return settings.learning_rate


def without_warmup(settings: Any, steps: int, step: int) -> float:
    return training.learning_rate(settings, steps, max(step, settings.warmup_steps))


def warmup_from_zero(settings: Any, steps: int, step: int) -> float:
    if step < settings.warmup_steps:
        return settings.learning_rate * step / settings.warmup_steps
    return training.learning_rate(settings, steps, step)


def warmup_counted_in(settings: Any, steps: int, step: int) -> float:
    """The fall begins at step 0, hidden at first by the warm-up."""
    fall = training.learning_rate(dataclasses.replace(settings, warmup_steps=0), steps, step)
    return min(fall, training.learning_rate(settings, steps, step)) if step < settings.warmup_steps else fall


def late(settings: Any, steps: int, step: int) -> float:
    return training.learning_rate(settings, steps, max(step - 1, 0))


_EPOCH = 4  # steps, for the mistake below


def by_epoch(settings: Any, steps: int, step: int) -> float:
    return training.learning_rate(settings, steps, step - step % _EPOCH)
