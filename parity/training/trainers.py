"""Training loops with a mistake each."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torch_ref import masks, training
from torch_ref.objective import masked_lm_loss
from torch_ref.training import Evaluated, Measured, MicroBatch, Trainer


def _targets(micro_batches: Sequence[MicroBatch]) -> Tensor:
    """How many there are in all."""
    return torch.stack([batch.weights.sum() for batch in micro_batches]).sum()


def _added_up(means: Sequence[Tensor]) -> Tensor:
    """Backpropagates one loss after the other; returns their sum."""
    for mean in means:
        mean.backward()
    return torch.stack([mean.detach() for mean in means]).sum()


class MeanOfMeans(Trainer):
    def accumulate(self, micro_batches: Sequence[MicroBatch]) -> Tensor:
        losses = [self.loss(batch) for batch in micro_batches]
        return _added_up([total / count / len(micro_batches) for total, count in losses])


class NotDivided(Trainer):
    def accumulate(self, micro_batches: Sequence[MicroBatch]) -> Tensor:
        losses = [self.loss(batch) for batch in micro_batches]
        return _added_up([total / count for total, count in losses])


class DividedTwice(Trainer):
    def accumulate(self, micro_batches: Sequence[MicroBatch]) -> Tensor:
        targets = _targets(micro_batches)
        return _added_up([self.loss(batch)[0] / targets / len(micro_batches) for batch in micro_batches])


class PerFiller(Trainer):
    def accumulate(self, micro_batches: Sequence[MicroBatch]) -> Tensor:
        targets = sum(batch.weights.numel() for batch in micro_batches)
        return _added_up([self.loss(batch)[0] / targets for batch in micro_batches])


class PerToken(Trainer):
    def accumulate(self, micro_batches: Sequence[MicroBatch]) -> Tensor:
        tokens = sum(int((batch.segments > 0).sum()) for batch in micro_batches)
        return _added_up([self.loss(batch)[0] / tokens for batch in micro_batches])


class MeanOfRows(Trainer):
    def accumulate(self, micro_batches: Sequence[MicroBatch]) -> Tensor:
        rows = [batch.tokens.shape[0] for batch in micro_batches]
        return _added_up([self._rows(batch) / sum(rows) for batch in micro_batches])

    def _rows(self, batch: MicroBatch) -> Tensor:
        """The means of the rows, added up."""
        scores_BKV = self.logits(batch).log_softmax(dim=-1)
        losses_BK = -scores_BKV.take_along_dim(batch.labels.long()[:, :, None], dim=-1)[:, :, 0] * batch.weights
        return (losses_BK.sum(dim=1) / batch.weights.sum(dim=1).clamp(min=1)).sum()


class FillerCounts(Trainer):
    def step(self, micro_batches: Sequence[MicroBatch]) -> Measured:
        return super().step([batch._replace(weights=torch.ones_like(batch.weights)) for batch in micro_batches])


class NoDropout(Trainer):
    def step(self, micro_batches: Sequence[MicroBatch]) -> Measured:
        return super().step([batch._replace(keeps=None) for batch in micro_batches])


class OneMaskForAll(Trainer):
    def step(self, micro_batches: Sequence[MicroBatch]) -> Measured:
        return super().step([batch._replace(keeps=micro_batches[0].keeps) for batch in micro_batches])


class NotRescaled(Trainer):
    """What is kept is not divided by the probability of being kept."""

    def logits(self, batch: MicroBatch) -> Tensor:
        right = masks.drop
        masks.drop = lambda x, keep, rate: right(x, keep, 0.0)
        try:
            return super().logits(batch)
        finally:
            masks.drop = right


class NotSmoothed(Trainer):
    def loss(self, batch: MicroBatch) -> tuple[Tensor, Tensor]:
        return masked_lm_loss(self.logits(batch), batch.labels, batch.weights, 0.0, self.z_loss)


class SmoothedOverOthers(Trainer):
    """What is taken from the label is spread over the other tokens alone."""

    def loss(self, batch: MicroBatch) -> tuple[Tensor, Tensor]:
        logits_BKV = self.logits(batch)
        others = logits_BKV.shape[-1] / (logits_BKV.shape[-1] - 1)
        smoothing = self.label_smoothing * others
        return masked_lm_loss(logits_BKV, batch.labels, batch.weights, smoothing, self.z_loss)


class NoZLoss(Trainer):
    def loss(self, batch: MicroBatch) -> tuple[Tensor, Tensor]:
        return masked_lm_loss(self.logits(batch), batch.labels, batch.weights, self.label_smoothing)


class ZLossOfFiller(Trainer):
    """The logarithms of filler are squared and added, too."""

    def loss(self, batch: MicroBatch) -> tuple[Tensor, Tensor]:
        logits_BKV = self.logits(batch)
        total, targets = masked_lm_loss(logits_BKV, batch.labels, batch.weights, self.label_smoothing)
        return total + self.z_loss * logits_BKV.logsumexp(dim=-1).square().sum(), targets


class ZLossNotSquared(Trainer):
    def loss(self, batch: MicroBatch) -> tuple[Tensor, Tensor]:
        logits_BKV = self.logits(batch)
        total, targets = masked_lm_loss(logits_BKV, batch.labels, batch.weights, self.label_smoothing)
        return total + self.z_loss * (logits_BKV.logsumexp(dim=-1) * batch.weights).sum(), targets


class SmoothedInEvaluation(Trainer):
    def sums(self, batch: MicroBatch) -> tuple[Tensor, Tensor, Tensor]:
        loss, _ = self.loss(batch)
        return loss, *super().sums(batch)[1:]


class SharedRows(Trainer):
    """The documents of a row see one another."""

    def logits(self, batch: MicroBatch) -> Tensor:
        return super().logits(batch._replace(segments=(batch.segments > 0).int()))


class Untied(Trainer):
    """The decoder starts as a copy of the word table and is trained by itself."""

    def __init__(self, model: Any, options: Any, steps: int, objective: Any = None):
        table = model.encoder.embedding.word.weight
        model.head.register_parameter("untied", nn.Parameter(table.detach().clone()))
        super().__init__(model, options, steps, objective)

    def logits(self, batch: MicroBatch) -> Tensor:
        encoder, head = self.model.encoder, self.model.head
        x_BTD, _ = encoder(batch.tokens, masks.from_segments(batch.segments), batch.positions, None, batch.keeps)
        return head(x_BTD.take_along_dim(batch.targets.long()[:, :, None], dim=1), head.untied)[0]


class WithoutHeadBias(Trainer):
    def update(self) -> float:
        assert self.model.head.bias is not None, "the courses' heads have a bias"
        self.model.head.bias.grad = None
        return super().update()


class ClipsEachMicroBatch(Trainer):
    """Clips what has been added up so far after every micro-batch."""

    def accumulate(self, micro_batches: Sequence[MicroBatch]) -> Tensor:
        targets, losses = _targets(micro_batches), []
        for batch in micro_batches:
            losses.append(_added_up([self.loss(batch)[0] / targets]))
            training.clip([one.grad for one in self.model.parameters() if one.grad is not None], self.options.clip_norm)
        return torch.stack(losses).sum()


class KeepsGradients(Trainer):
    def forget(self) -> None:
        pass


class LastGradientOnly(Trainer):
    def accumulate(self, micro_batches: Sequence[MicroBatch]) -> Tensor:
        targets, losses = _targets(micro_batches), []
        for batch in micro_batches:
            self.optimizer.zero_grad()
            losses.append(_added_up([self.loss(batch)[0] / targets]))
        return torch.stack(losses).sum()


class UpdatesEachMicroBatch(Trainer):
    """The parameters move after every micro-batch, at the learning rate of the step."""

    def step(self, micro_batches: Sequence[MicroBatch]) -> Measured:
        done, measured = self.done, []
        for batch in micro_batches:
            self.done = done
            measured.append(super().step([batch]))
        losses, norms, rates = zip(*measured, strict=True)
        return Measured(torch.stack(losses).mean(), torch.stack(norms).mean(), rates[0])


class ScheduleEachMicroBatch(Trainer):
    def step(self, micro_batches: Sequence[MicroBatch]) -> Measured:
        self.parts = len(micro_batches)
        return super().step(micro_batches)

    def update(self) -> float:
        done = self.done
        self.done = min(done * self.parts, self.steps - 1)
        rate = super().update()
        self.done = done + 1
        return rate


class EmptyBatchMoves(Trainer):
    def moves(self, micro_batches: Sequence[MicroBatch], loss: Tensor, norm: Tensor) -> bool:
        return True


class DropsInEvaluation(Trainer):
    @torch.no_grad()
    def evaluate(self, batches: Sequence[MicroBatch]) -> Evaluated:
        losses, hits, targets = zip(*map(self.sums, batches), strict=True)
        total = torch.stack(targets).sum()
        return Evaluated(torch.stack(losses).sum() / total, torch.stack(hits).sum() / total, total.long())


class MeanOfBatches(Trainer):
    def evaluate(self, batches: Sequence[MicroBatch]) -> Evaluated:
        losses, accuracies, targets = zip(*(super(MeanOfBatches, self).evaluate([one]) for one in batches), strict=True)
        return Evaluated(torch.stack(losses).mean(), torch.stack(accuracies).mean(), torch.stack(targets).sum())
