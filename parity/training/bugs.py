"""Mistakes in a training loop, made in the reference, and some in ours."""

import dataclasses
import statistics
from collections.abc import Callable
from typing import Any

import jax

from jax_encoder.training import evaluation, objective
from jax_encoder.training import step as steps
from parity.encoder.bugs.model import Patch
from parity.judge.bug import Bug
from parity.training import trainers
from parity.training.course import EMPTY_STEP
from parity.training.follow import DROPS
from torch_ref.training import Trainer

_EVALUATION = r"step \d+ evaluation (loss|accuracy)"
_RATE, _LOSS, _NORM = r"step \d+ learning_rate", r"step \d+ loss", r"step \d+ gradient_norm"


def _our_evaluation_drops(patch: Patch) -> None:
    """By a key that nothing else uses."""

    def loss_sums(model: Any, params: Any, batch: Any, key: Any, *more: Any) -> Any:
        return objective.loss_sums(model, params, batch, jax.random.key(7) if key is None else key, *more)

    patch.set(steps, "loss_sums", loss_sums)


def _our_mean_of_batches(patch: Patch) -> None:
    one_by_one = evaluation.evaluate

    def evaluate(program: Any, params: Any, batches: Any) -> Any:
        losses, accuracies, targets = zip(*(one_by_one(program, params, [one]) for one in batches), strict=True)
        return evaluation.Evaluation(statistics.fmean(losses), statistics.fmean(accuracies), sum(targets))

    patch.set(evaluation, "evaluate", evaluate)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingBug(Bug):
    """A mistake between a batch and the parameters that it leads to.

    Attributes:
        trainer: the loop that makes it.
        in_jax: makes it in our code; None for a mistake that has no form there.
        step: the first that it shows at.
    """

    trainer: type[Trainer]
    in_jax: Callable[[Patch], object] | None = None
    step: int = 1


TRAINING_BUGS: tuple[TrainingBug, ...] = (
    TrainingBug(
        name="accumulate-mean",
        mistake="the means of micro-batches are averaged, however many targets each has",
        where=_LOSS,
        trainer=trainers.MeanOfMeans,
        source="transformers#34191",
    ),
    TrainingBug(
        name="accumulate-sum",
        mistake="the means of micro-batches are added up",
        where=_LOSS,
        trainer=trainers.NotDivided,
        source="transformers#34191",
    ),
    TrainingBug(
        name="accumulate-divided-twice",
        mistake="the mean over all targets is divided by the number of micro-batches again",
        where=_LOSS,
        trainer=trainers.DividedTwice,
    ),
    TrainingBug(
        name="accumulate-last-only",
        mistake="only the gradient of the last micro-batch is left",
        where=_NORM,
        trainer=trainers.LastGradientOnly,
    ),
    TrainingBug(
        name="accumulate-updates",
        mistake="the parameters move after every micro-batch",
        where=_LOSS,
        trainer=trainers.UpdatesEachMicroBatch,
    ),
    TrainingBug(
        name="loss-denominator-filler",
        mistake="the loss is divided by all columns to predict, filler included",
        where=_LOSS,
        trainer=trainers.PerFiller,
        source="transformers#34191",
    ),
    TrainingBug(
        name="loss-denominator-tokens",
        mistake="the loss is divided by the number of tokens, not of targets",
        where=_LOSS,
        trainer=trainers.PerToken,
        source="transformers#34191",
    ),
    TrainingBug(
        name="loss-denominator-rows",
        mistake="the means of rows are averaged, however many targets each has",
        where=_LOSS,
        trainer=trainers.MeanOfRows,
        source="transformers#34191",
    ),
    TrainingBug(
        name="loss-ignored-index",
        mistake="filler is predicted, too",
        where=_LOSS,
        trainer=trainers.FillerCounts,
        source="transformers#22540",
    ),
    TrainingBug(
        name="dropout-off",
        mistake="the model is left in evaluation mode",
        where=_LOSS,
        trainer=trainers.NoDropout,
    ),
    TrainingBug(
        name="dropout-scale",
        mistake="what dropout keeps is not divided by the probability of being kept",
        where=_LOSS,
        trainer=trainers.NotRescaled,
    ),
    TrainingBug(
        name="dropout-repeated",
        mistake="every micro-batch drops what the first one drops",
        where=_LOSS,
        trainer=trainers.OneMaskForAll,
    ),
    TrainingBug(
        name="smoothing-missing",
        mistake="labels are not smoothed",
        where=_LOSS,
        trainer=trainers.NotSmoothed,
    ),
    TrainingBug(
        name="smoothing-over-others",
        mistake="what smoothing takes from the label is spread over the other tokens alone",
        where=_LOSS,
        trainer=trainers.SmoothedOverOthers,
    ),
    TrainingBug(
        name="smoothing-in-evaluation",
        mistake="the loss of an evaluation is smoothed, too, and has the z-loss",
        where=_EVALUATION,
        trainer=trainers.SmoothedInEvaluation,
    ),
    TrainingBug(
        name="z-loss-missing",
        mistake="there is no z-loss",
        where=_LOSS,
        trainer=trainers.NoZLoss,
    ),
    TrainingBug(
        name="z-loss-of-filler",
        mistake="the z-loss counts filler, too",
        where=_LOSS,
        trainer=trainers.ZLossOfFiller,
    ),
    TrainingBug(
        name="z-loss-not-squared",
        mistake="the z-loss is the logarithm itself, not its square",
        where=_LOSS,
        trainer=trainers.ZLossNotSquared,
    ),
    TrainingBug(
        name="pack-leak",
        mistake="the documents of a row see one another",
        where=_LOSS,
        trainer=trainers.SharedRows,
    ),
    TrainingBug(
        name="untied",
        mistake="the decoder is a copy of the word table, and trained by itself",
        where=_NORM,
        trainer=trainers.Untied,
        source="HF PT/Flax tests",
    ),
    TrainingBug(
        name="head-bias-frozen",
        mistake="the bias of the decoder is never moved",
        where=r"step \d+ parameter head\.bias",
        trainer=trainers.WithoutHeadBias,
        source="HF gradient script",
    ),
    TrainingBug(
        name="clip-before-accumulation",
        mistake="gradients are clipped after every micro-batch, not once",
        where=_NORM,
        trainer=trainers.ClipsEachMicroBatch,
    ),
    TrainingBug(
        name="zero-grad-forgotten",
        mistake="the gradients of the step before are still there",
        where=_NORM,
        trainer=trainers.KeepsGradients,
        step=2,
    ),
    TrainingBug(
        name="schedule-per-micro-batch",
        mistake="the learning rate goes on with every micro-batch",
        where=_RATE,
        trainer=trainers.ScheduleEachMicroBatch,
        step=2,
    ),
    TrainingBug(
        name="empty-batch-moves",
        mistake="a batch with nothing to predict moves the parameters by old momentum and decay",
        where=r"step \d+ parameter .*",
        trainer=trainers.EmptyBatchMoves,
        step=EMPTY_STEP,
    ),
    TrainingBug(
        name=DROPS,
        mistake="dropout is active in evaluation",
        where=_EVALUATION,
        trainer=trainers.DropsInEvaluation,
        in_jax=_our_evaluation_drops,
    ),
    TrainingBug(
        name="evaluation-mean-of-batches",
        mistake="the means of held-out batches are averaged, however many targets each has",
        where=_EVALUATION,
        trainer=trainers.MeanOfBatches,
        in_jax=_our_mean_of_batches,
    ),
)
