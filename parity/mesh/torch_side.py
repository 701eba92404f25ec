"""The reference: a plain loop on one device, right or as if devices had shared it with a mistake."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
import torch

import torch_ref
from jax_encoder.data.masking import Batch
from jax_encoder.model import MASKED_LM, shapes_of
from jax_encoder.training import step as steps
from jax_encoder.training.mesh import MeshShape
from parity.cases.randomise import randomise
from parity.encoder.draws import drawn_masks
from parity.encoder.inputs import keeps_of, tensor
from parity.encoder.table import Table, match
from parity.encoder.weights import draws, rows
from parity.judge.crash import running
from parity.mesh.course import ACCUMULATE, DONE, Course
from parity.mesh.stages import Stage, State, of_restored, of_step
from torch_ref.training import MicroBatch, Trainer

_draw = jax.jit(drawn_masks, static_argnums=(0, 1))


class Recipe(NamedTuple):
    """How the reference is to run.

    Attributes:
        trainer: makes the loop.
        restored: what is read of a state that was saved.
    """

    trainer: Callable[..., Trainer] = Trainer
    restored: Callable[[State], State] = lambda state: state


class Reference:
    """The reference of one course, which starts from a random state.

    Attributes:
        table: how parameters of ours become its own.
        start: the state, with our names and layouts.
    """

    def __init__(self, course: Course):
        self.course = course
        model = torch_ref.MaskedLM(course.encoder)
        shapes = shapes_of(course.encoder, MASKED_LM)
        theirs = {name: tuple(param.shape) for name, param in model.named_parameters()}
        self.table: Table = match(rows(course.encoder), shapes, theirs)
        params = randomise(shapes, draws(course.encoder), seed=0)
        rng = np.random.default_rng(1)
        first = {name: 1e-3 * rng.standard_normal(array.shape) for name, array in params.items()}
        second = {name: 1e-6 + np.square(array) for name, array in first.items()}
        self.start = State(params, first, second)

    def to_torch(self, state: State) -> State:
        """A state of ours with torch's names and layouts."""
        return State(*(self.table.to_torch(dict(arrays)) for arrays in state))

    def run(self, recipe: Recipe) -> tuple[Stage, ...]:
        """All stages."""
        with running("torch"):
            before, stages = self.to_torch(self.start), []
            for number in range(1, len(self.course.batches) + 1):
                if number > 1:
                    before = recipe.restored(before)
                    stages.append(of_restored(before))
                trainer = self._trainer(recipe.trainer, before, DONE + number - 1)
                measured = trainer.step(self.micro_batches(number))
                after = _state_of(trainer)
                told = measured.loss.numpy(), measured.gradient_norm.numpy()
                stages.append(of_step(number, told, before, after, self.course.config.optimizer.b1))
                before = after
        return tuple(stages)

    @functools.cache  # noqa: B019  # as long as the process
    def micro_batches(self, number: int) -> tuple[MicroBatch, ...]:
        """What a step sees, counted from 1, with the dropout masks that our side draws on one device."""
        key = steps.step_key(self.course.config.seed, DONE + number - 1)
        parts = zip(*(np.split(field, ACCUMULATE) for field in self.course.batches[number - 1]), strict=True)
        return tuple(self._dropping(Batch(*fields), steps.micro_batch_key(key, i)) for i, fields in enumerate(parts))

    def _dropping(self, batch: Batch, key: jax.Array) -> MicroBatch:
        keeps = keeps_of(key, self.course.encoder, batch.tokens.shape, _draw)
        return MicroBatch(*map(tensor, batch))._replace(keeps=keeps)

    def _trainer(self, kind: Callable[..., Trainer], state: State, done: int) -> Trainer:
        model = torch_ref.MaskedLM(self.course.encoder).double()
        model.load_state_dict({name: tensor(state.params[name]) for name in model.state_dict()})
        trainer = kind(model, self.course.config.optimizer, self.course.config.steps)
        trainer.done = done
        for name, param in model.named_parameters():
            trainer.optimizer.state[param] = {
                "step": torch.tensor(float(done)),
                "exp_avg": tensor(state.first[name]),
                "exp_avg_sq": tensor(state.second[name]),
            }
        return trainer


def _state_of(trainer: Trainer) -> State:
    named = dict(trainer.model.named_parameters())
    kept = trainer.optimizer.state
    return State(
        {name: param.detach().numpy().copy() for name, param in named.items()},
        *(
            {name: kept[param][key].numpy().copy() for name, param in named.items()}
            for key in ("exp_avg", "exp_avg_sq")
        ),
    )


class Sharing(Trainer):
    """A loop that says which mesh it pretends to run on."""

    shape = MeshShape()

    def groups(self, batch: MicroBatch) -> list[MicroBatch]:
        """The rows of each group of devices, without dropout masks."""
        fields = [field.chunk(self.shape.rows) for field in batch[:6]]
        return [MicroBatch(*rows) for rows in zip(*fields, strict=True)]


class MeanOfShards(Sharing):
    """Every group of devices takes the mean over its own targets, and the means are averaged."""

    def accumulate(self, micro_batches: Sequence[MicroBatch]) -> torch.Tensor:
        counts = [[group.weights.sum().double() for group in self.groups(batch)] for batch in micro_batches]
        losses = []
        for batch, own in zip(micro_batches, counts, strict=True):
            factors = _mean_factors(counts, own, batch.weights.shape[0])
            mean = self._weighed(batch, factors)
            mean.backward()
            losses.append(mean.detach())
        return torch.stack(losses).sum()

    def _weighed(self, batch: MicroBatch, factors: torch.Tensor) -> torch.Tensor:
        scores = self.logits(batch).log_softmax(dim=-1)
        losses_BK = -scores.take_along_dim(batch.labels.long()[:, :, None], dim=-1)[:, :, 0] * batch.weights
        return (losses_BK.sum(dim=1) * factors).sum()


def _mean_factors(counts: list[list[torch.Tensor]], own: list[torch.Tensor], rows: int) -> torch.Tensor:
    """What a row's losses are multiplied with, if each micro-batch is a mean of means, by its share of all targets."""
    total = torch.stack([one for groups in counts for one in groups]).sum()
    share = torch.stack(own).sum() / total
    each = torch.stack([share / (len(own) * one.clamp(min=1)) for one in own])
    return each.repeat_interleave(rows // len(own))


class GradientTwice(Sharing):
    """What one sum over all devices has put together is summed over an axis once more."""

    def accumulate(self, micro_batches: Sequence[MicroBatch]) -> torch.Tensor:
        loss = super().accumulate(micro_batches)
        for param in self.model.parameters():
            param.grad = None if param.grad is None else param.grad * self.shape.data
        return loss


class MasksRepeated(Sharing):
    """Every group of devices drops what the first one drops."""

    def logits(self, batch: MicroBatch) -> torch.Tensor:
        assert batch.keeps is not None, "the courses drop everywhere"
        keeps, times = batch.keeps, self.shape.rows

        def repeated(mask: torch.Tensor | None) -> torch.Tensor | None:
            return None if mask is None else torch.cat([mask.chunk(times)[0]] * times)

        layers = tuple(torch_ref.LayerKeeps(*map(repeated, layer)) for layer in keeps.layers)
        return super().logits(batch._replace(keeps=torch_ref.EncoderKeeps(repeated(keeps.embedding), layers)))


class NormsOfShards(Sharing):
    """Every device takes the statistics of a norm over its own columns."""

    def logits(self, batch: MicroBatch) -> torch.Tensor:
        right, parts = torch_ref.norm.Norm.forward, self.shape.tensor

        def forward(norm: torch_ref.norm.Norm, x: torch.Tensor) -> torch.Tensor:
            wide = x.unflatten(-1, (parts, -1))
            centred = wide - wide.mean(dim=-1, keepdim=True) if norm.kind == "layer" else wide
            normed = (centred / (centred.square().mean(dim=-1, keepdim=True) + norm.eps).sqrt()).flatten(-2)
            return normed * norm.weight + (0 if norm.bias is None else norm.bias)

        torch_ref.norm.Norm.forward = forward  # type: ignore[method-assign, assignment]
        try:
            return super().logits(batch)
        finally:
            torch_ref.norm.Norm.forward = right  # type: ignore[method-assign]


class DecayOfShards(Sharing):
    """Every device that has a parameter decays it, and what each has changed is added up."""

    def update(self) -> float:
        for group in self.optimizer.param_groups:
            group["weight_decay"] *= self.shape.data
        return super().update()
