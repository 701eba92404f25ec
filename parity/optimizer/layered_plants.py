"""Ways to make a mistake in StableAdamW, LAMB, Muon, averages and the newer schedules of the reference."""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from parity.optimizer.torch_side import Recipe, moving
from torch_ref import optimizers, training

Averaged = tuple[list[Tensor], list[Tensor]]


class NeverShorter(optimizers.StableAdamW):
    def surprise(self, gradient: Tensor, second: Tensor, group: dict[str, Any]) -> float:
        return 1.0


class MeanSquare(optimizers.StableAdamW):
    """The root is forgotten."""

    def surprise(self, gradient: Tensor, second: Tensor, group: dict[str, Any]) -> float:
        return super().surprise(gradient, second, group) ** 2


class EpsNotSquared(optimizers.StableAdamW):
    def surprise(self, gradient: Tensor, second: Tensor, group: dict[str, Any]) -> float:
        return float((gradient.square() / second.clamp(min=group["eps"])).mean().sqrt())


class DecaysInFull(optimizers.StableAdamW):
    def decay(self, parameter: Tensor, rate: float, group: dict[str, Any]) -> None:
        super().decay(parameter, group["lr"], group)


class OneSurprise(optimizers.StableAdamW):
    """The mean goes over all that a group holds, as where layers lie in one array."""

    def surprise(self, gradient: Tensor, second: Tensor, group: dict[str, Any]) -> float:
        pairs = [(one.grad, self._expected(one, group)) for one in group["params"]]
        every = torch.cat([(grad.square() / square.clamp(min=group["eps"] ** 2)).flatten() for grad, square in pairs])
        return float(every.mean().sqrt())

    def _expected(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        """The second moment after this step, whether or not it is that parameter's turn."""
        state, b2 = self.state[parameter], group["betas"][1]
        count = float(self.state[group["params"][0]]["step"])
        square = state["exp_avg_sq"]
        if float(state["step"]) < count and parameter.grad is not None:
            square = b2 * square + (1 - b2) * parameter.grad.square()
        return square / (1 - b2**count)


class NoTrust(optimizers.Lamb):
    def ratio(self, parameter: Tensor, direction: Tensor, decay: Tensor) -> float:
        return 1.0


class TrustWithoutDecay(optimizers.Lamb):
    def ratio(self, parameter: Tensor, direction: Tensor, decay: Tensor) -> float:
        return optimizers.trust(parameter, direction)


class TrustClipped(optimizers.Lamb):
    """The ratio is at most 1, as in LARS with clipping."""

    def ratio(self, parameter: Tensor, direction: Tensor, decay: Tensor) -> float:
        return min(super().ratio(parameter, direction, decay), 1.0)


class TrustInverted(optimizers.Lamb):
    def ratio(self, parameter: Tensor, direction: Tensor, decay: Tensor) -> float:
        return 1 / super().ratio(parameter, direction, decay)


class TrustOfMatrices(optimizers.Lamb):
    def ratio(self, parameter: Tensor, direction: Tensor, decay: Tensor) -> float:
        return super().ratio(parameter, direction, decay) if parameter.ndim > 1 else 1.0


class PlainMomentum(optimizers.Muon):
    def towards(self, parameter: Tensor, gradient: Tensor) -> Tensor:
        super().towards(parameter, gradient)
        return self.state[parameter]["momentum_buffer"]


class SummedMomentum(optimizers.Muon):
    """The gradient enters the momentum whole, as in SGD's."""

    def towards(self, parameter: Tensor, gradient: Tensor) -> Tensor:
        buffer = self.state[parameter]["momentum_buffer"]
        buffer.mul_(self.momentum).add_(gradient)
        return gradient + self.momentum * buffer


class WidthScale(optimizers.Muon):
    def scale(self, parameter: Tensor) -> float:
        return max(1.0, parameter.shape[0] / parameter.shape[1]) ** 0.5


class FewerSteps(optimizers.Muon):
    STEPS = 4


class LargerEps(optimizers.Muon):
    EPS = 1e-6


def average_of_before(average: list[Tensor], params: Averaged, decay: float) -> None:
    moving(average, (params[1], params[0]), decay)


def average_swapped(average: list[Tensor], params: Averaged, decay: float) -> None:
    moving(average, params, 1 - decay)


def average_restarted(average: list[Tensor], params: Averaged, decay: float) -> None:
    """What `swa_utils` does with a count of 0."""
    for mean, new in zip(average, params[1], strict=True):
        mean.copy_(new)


def averaged(average: Callable[[list[Tensor], Averaged, Any], None]) -> Callable[[Recipe], Recipe]:
    return lambda recipe: dataclasses.replace(recipe, average=average)


def linear_fall(settings: Any, steps: int, step: int) -> float:
    return training.learning_rate(dataclasses.replace(settings, schedule="wsd"), steps, step)


def root_of_the_rest(settings: Any, steps: int, step: int) -> float:
    """The root of what is still to come, where 1 - the root of what is over is meant."""
    rate = training.learning_rate(dataclasses.replace(settings, schedule="wsd"), steps, step)
    return settings.learning_rate * (rate / settings.learning_rate) ** 0.5 if step >= settings.warmup_steps else rate


def root_since_warmup(settings: Any, steps: int, step: int) -> float:
    if step < settings.warmup_steps:
        return training.learning_rate(settings, steps, step)
    return settings.learning_rate / (step - settings.warmup_steps + 1) ** 0.5


def root_without_shift(settings: Any, steps: int, step: int) -> float:
    if step < settings.warmup_steps:
        return training.learning_rate(settings, steps, step)
    return settings.learning_rate * (settings.warmup_steps / step) ** 0.5
