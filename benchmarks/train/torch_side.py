"""transformers' classes on torch: as they ship, and by torch's best recipe.

The best recipe is the head on the masked positions alone and fused AdamW; as they ship is what a user of the class has
who hands it labels. Either eager or by `torch.compile`, in float32 or bfloat16 autocast.
"""

from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.gpu.torch_best import SparseMaskedLM, tensors_of
from benchmarks.train.stepping import Stepper, serve_steps
from benchmarks.train.tasks import BETAS, CLIP, DECAY, EPS, LEARNING_RATE, Given
from benchmarks.workers import Record
from jax_encoder.data.masking import Batch

_IGNORED = -100  # transformers' label of a position that is not predicted


class AsShipped(nn.Module):
    """The class with labels, as its documentation has it.

    Args:
        lm: transformers' class for masked language models.
        sparse: of ModernBERT, its own option to score the masked positions alone.
    """

    def __init__(self, lm: Any, *, sparse: bool):
        super().__init__()
        if sparse:
            lm.sparse_prediction = True
        self.lm = lm

    def forward(self, tokens: torch.Tensor, attended: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Returns the mean loss over the labels that count."""
        return self.lm(input_ids=tokens, attention_mask=attended, labels=labels).loss


def make(work: Given, spec: Record) -> Stepper:
    """One of the recipes: spec has "recipe" (shipped, sparse, best), "compiled" and "dtype"."""
    torch.manual_seed(0)
    # Rows without padding need no mask, which leaves SDPA its fastest kernels.
    full = all(bool((batch.segments == 1).all()) for batch in work.batches)
    best = SparseMaskedLM(work.encoder, packed=not full)
    model: Any = best
    if spec["recipe"] == "best":
        batches = [tensors_of(batch, "cpu") for batch in work.batches]
    else:
        model = AsShipped(best.lm, sparse=spec["recipe"] == "sparse")
        batches = [labelled(batch) for batch in work.batches]
    params = list(model.train().parameters())
    groups = [
        {"params": [p for p in params if p.ndim > 1], "weight_decay": DECAY},
        {"params": [p for p in params if p.ndim == 1], "weight_decay": 0.0},
    ]
    fused = {} if spec["recipe"] == "shipped" else {"fused": True}
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=BETAS, eps=EPS, **fused)
    run = torch.compile(model) if spec["compiled"] else model

    def step(batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=spec["dtype"] == "bfloat16"):
            loss = run(*batch)
        loss.backward()
        nn.utils.clip_grad_norm_(params, CLIP)
        optimizer.step()
        return loss.detach()

    return Stepper(batches, step, float)


def labelled(batch: Batch) -> tuple[torch.Tensor, ...]:
    """Tokens, which of them are no padding, and a label at every position, as a collator hands them on."""
    labels_BT = np.full(batch.tokens.shape, _IGNORED, np.int64)
    real_BK = batch.weights > 0
    labels_BT[np.nonzero(real_BK)[0], batch.targets[real_BK]] = batch.labels[real_BK]
    fields = (batch.tokens.astype(np.int64), (batch.segments > 0).astype(np.int64), labels_BT)
    return tuple(torch.from_numpy(field) for field in fields)


if __name__ == "__main__":
    serve_steps(make)
