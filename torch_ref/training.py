"""Training: learning rates, clipping, optimizers and the loop over micro-batches, one plain statement after the other.

Options are any object with the fields of `jax_encoder.training.optimizer_config.OptimizerOptions`, read by attribute.

Axes: b rows of a micro-batch, T column, K target.
References: Loshchilov & Hutter (2019), https://arxiv.org/abs/1711.05101; Pascanu et al. (2013), section 3.2,
https://arxiv.org/abs/1211.5063 (clipping)
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from torch_ref import masks, optimizers
from torch_ref.encoder import EncoderKeeps
from torch_ref.model import MaskedLM
from torch_ref.objective import masked_lm_loss


class MicroBatch(NamedTuple):
    """Some rows of a step. Of the K columns to predict, those of weight 0 are filler; `keeps` None is no dropout."""

    tokens: Int[Tensor, "b T"]
    segments: Int[Tensor, "b T"]
    positions: Int[Tensor, "b T"]
    targets: Int[Tensor, "b K"]
    labels: Int[Tensor, "b K"]
    weights: Float[Tensor, "b K"]
    keeps: EncoderKeeps | None = None


class Measured(NamedTuple):
    """What one step was: its mean loss over all targets and the norm of its gradient, both before the update."""

    loss: Float[Tensor, ""]
    gradient_norm: Float[Tensor, ""]
    learning_rate: float


class Evaluated(NamedTuple):
    """Mean loss and share of hits over all targets of all batches, and how many those are."""

    loss: Float[Tensor, ""]
    accuracy: Float[Tensor, ""]
    targets: Int[Tensor, ""]


# How much of the highest learning rate is left, by the share of the steps that fall which is still to come.
FALLS: dict[str, Callable[[float], float]] = {
    "cosine": lambda left: math.sin(math.pi / 2 * left) ** 2,
    "linear": lambda left: left,
    "wsd": lambda left: left,
    "wsd_sqrt": lambda left: 1 - math.sqrt(1 - left),
}


def learning_rate(options: Any, steps: int, step: int) -> float:
    """The learning rate of one of `steps` steps, counted from 0: up in a line, then down to what step `steps` would
    have, 0. The schedules "wsd" and "wsd_sqrt" stay up until the last `decay_fraction` of all steps; "inverse_root"
    falls with the root of all steps so far, and never to 0."""
    if step < options.warmup_steps:
        return options.learning_rate * (step + 1) / (options.warmup_steps + 1)
    if options.schedule == "inverse_root":
        return options.learning_rate * math.sqrt((options.warmup_steps + 1) / (step + 1))
    stays = options.schedule in ("wsd", "wsd_sqrt")
    falling = max(1, round(options.decay_fraction * steps)) if stays else steps - options.warmup_steps
    return options.learning_rate * FALLS[options.schedule](min(1.0, (steps - step) / falling))


def clip(gradients: Sequence[Tensor], max_norm: float | None) -> Float[Tensor, ""]:
    """Scales all gradients, in place, by one factor if their common norm is above `max_norm`; returns that norm.
    None leaves them alone.

    Exactly to `max_norm`: `torch.nn.utils.clip_grad_norm_` divides by the norm + 1e-6.
    """
    norm = torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt()
    if max_norm is not None and norm > max_norm:
        for gradient in gradients:
            gradient.mul_(max_norm / norm)
    return norm


def is_decayed(parameter: Tensor) -> bool:
    """Whether weight decay pulls a parameter towards 0: matrices and tables, not the vectors of norms and biases."""
    return parameter.ndim > 1


def groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """What decays and what does not, as torch.optim wants it."""
    every = list(parameters)
    return [
        {"params": [one for one in every if is_decayed(one)], "weight_decay": weight_decay},
        {"params": [one for one in every if not is_decayed(one)], "weight_decay": 0.0},
    ]


def matrices(model: nn.Module) -> list[Tensor]:
    """The kernels of hidden layers; not the tables, nor the decoder that is one."""
    named = model.named_modules()
    return [one.weight for name, one in named if isinstance(one, nn.Linear) and not name.endswith("decoder")]


def make_optimizer(grouped: list[dict[str, Any]], options: Any, matrices: Sequence[Tensor]) -> torch.optim.Optimizer:
    """The optimizer of the options; Muon orthogonalises the steps of `matrices`."""
    betas, eps = (options.b1, options.b2), options.eps
    if options.optimizer == "muon":
        split = apart(grouped, matrices)
        return optimizers.Muon(split, betas=betas, eps=eps, momentum=options.momentum)
    kinds: dict[str, Any] = {
        "adamw": torch.optim.AdamW,
        "stable_adamw": optimizers.StableAdamW,
        "lamb": optimizers.Lamb,
    }
    return kinds[options.optimizer](grouped, betas=betas, eps=eps)


def apart(grouped: list[dict[str, Any]], matrices: Sequence[Tensor]) -> list[dict[str, Any]]:
    """Every group as two: of it what is orthogonalised, and the rest."""
    chosen = set(map(id, matrices))
    return [
        group
        | {"params": [one for one in group["params"] if (id(one) in chosen) == orthogonal], "orthogonal": orthogonal}
        for group in grouped
        for orthogonal in (True, False)
    ]


class Trainer:
    """A model, its optimizer, and how many steps they have done.

    Args:
        model: trained in place, in whatever precision its parameters have.
        options: of the optimizer.
        steps: how many there will be, which the learning rate depends on.
        objective: has `label_smoothing` and `z_loss`, of the training loss; None is neither.
    """

    def __init__(self, model: MaskedLM, options: Any, steps: int, objective: Any = None):
        self.model, self.options, self.steps, self.done = model, options, steps, 0
        self.label_smoothing = 0.0 if objective is None else objective.label_smoothing
        self.z_loss = 0.0 if objective is None else objective.z_loss
        self.optimizer = make_optimizer(groups(model.parameters(), options.weight_decay), options, matrices(model))

    def step(self, micro_batches: Sequence[MicroBatch]) -> Measured:
        """One update by the gradient of the mean loss over all targets of all micro-batches.

        Without any target, or with a loss or gradient that is not finite, only the learning rate goes on.
        """
        self.forget()
        loss = self.accumulate(micro_batches)
        gradients = [one.grad for one in self.model.parameters() if one.grad is not None]
        norm = clip(gradients, self.options.clip_norm)
        if self.moves(micro_batches, loss, norm):
            return Measured(loss, norm, self.update())
        self.done += 1
        return Measured(loss, norm, learning_rate(self.options, self.steps, self.done - 1))

    def moves(self, micro_batches: Sequence[MicroBatch], loss: Tensor, norm: Tensor) -> bool:
        """Whether a step updates the parameters."""
        predicts = any(bool(batch.weights.any()) for batch in micro_batches)
        return predicts and bool(torch.isfinite(loss)) and bool(torch.isfinite(norm))

    def forget(self) -> None:
        """Drops the gradients of the step before."""
        self.optimizer.zero_grad()

    def accumulate(self, micro_batches: Sequence[MicroBatch]) -> Float[Tensor, ""]:
        """Adds up the gradients of all micro-batches; returns the mean loss."""
        targets = torch.stack([batch.weights.sum() for batch in micro_batches]).sum().clamp(min=1)
        losses = []
        for batch in micro_batches:
            total, _ = self.loss(batch)
            mean = total / targets.to(total.dtype)
            mean.backward()
            losses.append(mean.detach())
        return torch.stack(losses).sum()

    def loss(self, batch: MicroBatch) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """The summed loss of a micro-batch and the number of its targets."""
        return masked_lm_loss(self.logits(batch), batch.labels, batch.weights, self.label_smoothing, self.z_loss)

    @torch.no_grad()
    def evaluate(self, batches: Sequence[MicroBatch]) -> Evaluated:
        """Evaluates without dropout. A hit is a target whose label no other token outscores."""
        losses, hits, targets = zip(*(self.sums(batch._replace(keeps=None)) for batch in batches), strict=True)
        total = torch.stack(targets).sum()
        return Evaluated(torch.stack(losses).sum() / total, torch.stack(hits).sum() / total, total.long())

    def sums(self, batch: MicroBatch) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""]]:
        """The summed loss of a batch, its hits and its targets."""
        logits_BKV = self.logits(batch)
        loss, targets = masked_lm_loss(logits_BKV, batch.labels, batch.weights)
        scores_BK = logits_BKV.take_along_dim(batch.labels.long()[:, :, None], dim=-1)[:, :, 0]
        hits = ((scores_BK >= logits_BKV.amax(dim=-1)) * batch.weights).sum()
        return loss, hits.to(targets.dtype), targets

    def logits(self, batch: MicroBatch) -> Float[Tensor, "b K V"]:
        """Scores of the vocabulary at the targets."""
        mask_BTS = masks.from_segments(batch.segments)
        return self.model(batch.tokens, mask_BTS, batch.positions, None, batch.targets, batch.keeps)[0]

    def update(self) -> float:
        """Moves the parameters; returns the learning rate."""
        rate = learning_rate(self.options, self.steps, self.done)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.done += 1
        return rate
