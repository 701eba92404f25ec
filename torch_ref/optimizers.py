"""Optimizers that torch.optim does not have, or has in bfloat16 alone: each written after its paper.

Every parameter is one matrix or vector of one layer, as torch keeps them.

References: StableAdamW: Wortsman et al. (2023), algorithm 2, https://arxiv.org/abs/2304.13013; LAMB: You et al. (2020),
algorithm 2, https://arxiv.org/abs/1904.00962; Muon: Jordan et al. (2024), https://kellerjordan.github.io/posts/muon,
with the scale of Liu et al. (2025), section 2.2, https://arxiv.org/abs/2502.16982
"""

import abc
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

Groups = Iterable[dict[str, Any]]


class _Adaptive(torch.optim.Optimizer, abc.ABC):
    """What has Adam's two moments; `move` says what it makes of them."""

    def __init__(self, groups: Groups, *, betas: tuple[float, float], eps: float):
        super().__init__(groups, {"lr": 0.0, "betas": betas, "eps": eps, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Moves every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.move(parameter, parameter.grad, group)

    @abc.abstractmethod
    def move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """One parameter's step."""

    def moments(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Adds a gradient to both moments; returns them corrected for their start at 0."""
        (b1, b2), state = group["betas"], self.state[parameter]
        if "step" not in state:
            state |= {"step": torch.tensor(0.0), "exp_avg": torch.zeros_like(parameter)}
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        state["exp_avg"].mul_(b1).add_(gradient, alpha=1 - b1)
        state["exp_avg_sq"].mul_(b2).add_(gradient.square(), alpha=1 - b2)
        count = float(state["step"])
        return state["exp_avg"] / (1 - b1**count), state["exp_avg_sq"] / (1 - b2**count)


class StableAdamW(_Adaptive):
    """AdamW whose step, decay included, is made shorter where gradients are larger than their mean square expects."""

    def move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        first, second = self.moments(parameter, gradient, group)
        rate = group["lr"] / max(1.0, self.surprise(gradient, second, group))
        self.decay(parameter, rate, group)
        parameter.sub_(rate * first / (second.sqrt() + group["eps"]))

    def surprise(self, gradient: Tensor, second: Tensor, group: dict[str, Any]) -> float:
        """The root of the mean of squares over what is expected of them."""
        return float((gradient.square() / second.clamp(min=group["eps"] ** 2)).mean().sqrt())

    def decay(self, parameter: Tensor, rate: float, group: dict[str, Any]) -> None:
        """Pulls a parameter towards 0."""
        parameter.mul_(1 - rate * group["weight_decay"])


class Lamb(_Adaptive):
    """AdamW's direction, decay included, made as long as the parameter is, times the learning rate."""

    def move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        first, second = self.moments(parameter, gradient, group)
        direction = first / (second.sqrt() + group["eps"])
        decay = group["weight_decay"] * parameter
        parameter.sub_(group["lr"] * self.ratio(parameter, direction, decay) * (direction + decay))

    def ratio(self, parameter: Tensor, direction: Tensor, decay: Tensor) -> float:
        """How much longer the parameter is than its direction; 1 where either is 0."""
        return trust(parameter, direction + decay)


def trust(parameter: Tensor, direction: Tensor) -> float:
    """The ratio of two lengths; 1 where either is 0."""
    long, step = float(parameter.norm()), float(direction.norm())
    return long / step if long > 0 and step > 0 else 1.0


class Muon(_Adaptive):
    """Matrices of hidden layers move by the nearest orthogonal matrix to their momentum, all else by AdamW.

    torch.optim.Muon computes in bfloat16 whatever it is given, and divides by what is at least its epsilon.

    Args:
        groups: "orthogonal" says of each whether it holds such matrices.
        betas, eps: of AdamW.
        momentum: of the matrices.
    """

    EPS, STEPS, RMS = 1e-7, 5, 0.2

    def __init__(self, groups: Groups, *, betas: tuple[float, float], eps: float, momentum: float):
        super().__init__(groups, betas=betas, eps=eps)
        self.momentum = momentum

    def move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        if group["orthogonal"]:
            direction = self.scale(parameter) * self.orthogonal(self.towards(parameter, gradient))
        else:
            first, second = self.moments(parameter, gradient, group)
            direction = first / (second.sqrt() + group["eps"])
        parameter.sub_(group["lr"] * direction)

    def towards(self, parameter: Tensor, gradient: Tensor) -> Tensor:
        """Nesterov's momentum: the mean of the gradients, looked at one step ahead."""
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        state["momentum_buffer"].lerp_(gradient, 1 - self.momentum)
        return gradient.lerp(state["momentum_buffer"], self.momentum)

    def orthogonal(self, matrix: Tensor) -> Tensor:
        """About U V^T of U S V^T, by Newton and Schulz's iteration on the shorter side."""
        a, b, c = 3.4445, -4.7750, 2.0315
        wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
        wide = wide / (wide.norm() + self.EPS)
        for _ in range(self.STEPS):
            gram = wide @ wide.T
            wide = a * wide + (b * gram + c * gram @ gram) @ wide
        return wide if matrix.shape[0] <= matrix.shape[1] else wide.T

    def scale(self, parameter: Tensor) -> float:
        """What makes an orthogonal matrix's entries as large as AdamW's steps are."""
        return self.RMS * max(parameter.shape) ** 0.5
