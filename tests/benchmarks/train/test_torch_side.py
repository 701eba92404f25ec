"""Torch's recipes are of one network: the same loss, whichever head computes it."""

import dataclasses

import pytest
import torch

from benchmarks.train import torch_side
from benchmarks.train.stepping import prepared
from benchmarks.train.tasks import given

SPEC = {"recipe": "best", "compiled": False, "dtype": "float32"}


def without_dropout(work):
    rates = dict.fromkeys(("embedding_dropout", "attention_dropout", "residual_dropout"), 0.0)
    return work._replace(encoder=dataclasses.replace(work.encoder, **rates))


@pytest.mark.parametrize(("task", "recipe"), [("minilm_l6", "shipped"), ("mini", "sparse")])
def test_the_recipes_have_the_same_losses(task, recipe):
    work = without_dropout(given(task, tiny=True))
    losses = []
    for spec in (SPEC, SPEC | {"recipe": recipe}):
        stepper = torch_side.make(work, spec)
        losses.append([stepper.loss(stepper.step(stepper.batches[0])) for _ in range(4)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0][-1] < losses[0][0]


def test_padded_rows_lose_as_much_by_either_recipe():
    work = without_dropout(given("text", tiny=True, padded="longest"))
    losses = []
    for recipe in ("best", "shipped"):
        stepper = torch_side.make(work, SPEC | {"recipe": recipe})
        losses.append([stepper.loss(stepper.step(batch)) for batch in stepper.batches])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_autocast_is_felt():
    work = without_dropout(given("minilm_l6", tiny=True))
    losses = []
    for dtype in ("float32", "bfloat16"):
        stepper = torch_side.make(work, SPEC | {"dtype": dtype})
        losses.append(stepper.loss(stepper.step(stepper.batches[0])))
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)


def test_a_side_gets_ready_and_is_timed():
    found, measure = prepared(torch_side.make, SPEC | {"task": "minilm_l6", "tiny": True})
    assert found["tokens"] == 64
    once = measure()
    assert once["units"] == found["steps"] >= 1
    assert once["seconds"] > 0


def test_a_loss_that_knows_too_much_is_refused():
    def make(work, spec):
        stepper = torch_side.make(work, spec)
        return stepper._replace(loss=lambda loss: float(loss) / 2)

    with pytest.raises(FloatingPointError, match=r"^the first loss is .*, where 6\.24 is expected$"):
        prepared(make, SPEC | {"task": "minilm_l6", "tiny": True})
    assert torch.is_grad_enabled()
