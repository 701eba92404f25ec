"""The same step in PyTorch by its best public recipe: transformers' class with SDPA, bfloat16 autocast, the head on the
masked positions alone, fused AdamW; eager, then compiled.

Packed rows get an additive bfloat16 mask, made once a step: of the forms that SDPA takes, the one that it need not
convert in every layer. Rows of one document each get no mask, which leaves SDPA its fastest kernels.
"""

import gc
import itertools
import time
from collections.abc import Iterator

import numpy as np
import torch
import transformers
from torch import nn
from torch.nn import functional

from benchmarks.gpu.children import Record, serve
from benchmarks.gpu.machine import require_accelerator
from benchmarks.gpu.timing import budget, time_steps
from benchmarks.gpu.work import Shape, batches_of, encoder_of, rows_of, shape_of, work_of
from jax_encoder.config import EncoderConfig
from jax_encoder.data.masking import Batch
from jax_encoder.huggingface import family_for

_GIB = 2**30
Tensors = tuple[torch.Tensor, ...]


class SparseMaskedLM(nn.Module):
    """The summed loss of transformers' class over its mean count, with logits for the targets alone.

    Args:
        encoder: whose form it has.
        packed: whether documents in a row must not see each other.
    """

    def __init__(self, encoder: EncoderConfig, *, packed: bool):
        super().__init__()
        family = family_for(encoder)
        name = family.classes[0]
        ids = {"pad_token_id": 0, "cls_token_id": 1, "bos_token_id": 1, "sep_token_id": 2, "eos_token_id": 2}
        fields = family.write(encoder) | ids
        config = getattr(transformers, f"{name}Config")(**fields, attn_implementation="sdpa")
        self.lm = getattr(transformers, f"{name}ForMaskedLM")(config)
        self.packed, self.modern = packed, family.name == "modernbert"
        self.window = next((window for window in encoder.windows if window is not None), encoder.max_len)

    def forward(self, tokens: torch.Tensor, segments: torch.Tensor, positions: torch.Tensor, *targets: torch.Tensor):
        """Returns the mean loss over the targets; arguments are the fields of a `Batch`."""
        columns_BK, labels_BK, weights_BK = targets
        hidden_BTD = (
            self._modern_bert(tokens, segments, positions) if self.modern else self._bert(tokens, segments, positions)
        )
        wide_BKD = columns_BK[:, :, None].expand(-1, -1, hidden_BTD.shape[-1])
        chosen_BKD = hidden_BTD.gather(1, wide_BKD)
        logits_BKV = self.lm.decoder(self.lm.head(chosen_BKD)) if self.modern else self.lm.cls(chosen_BKD)
        losses = functional.cross_entropy(logits_BKV.flatten(0, 1), labels_BK.flatten(), reduction="none")
        return (losses * weights_BK.flatten()).sum() / weights_BK.sum()

    def _bert(self, tokens: torch.Tensor, segments: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        # Past BertModel, which makes a mask of ones when it is compiled, and SDPA then takes a slower kernel.
        embedded = self.lm.bert.embeddings(input_ids=tokens, position_ids=positions)
        mask = self._additive(_same(segments)) if self.packed else None
        return self.lm.bert.encoder(embedded, attention_mask=mask)[0]

    def _modern_bert(self, tokens: torch.Tensor, segments: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        same = _same(segments)
        columns = torch.arange(segments.shape[1], device=segments.device)
        near = (columns[:, None] - columns[None, :]).abs() <= self.window
        masks = {"full_attention": self._additive(same), "sliding_attention": self._additive(same & near)}
        return self.lm.model(input_ids=tokens, attention_mask=masks, position_ids=positions)[0]

    def _additive(self, allowed: torch.Tensor) -> torch.Tensor:
        """A mask in the form and dtype that SDPA adds to its scores."""
        device = allowed.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else self.lm.dtype
        return torch.zeros_like(allowed, dtype=dtype).masked_fill(~allowed, torch.finfo(dtype).min)[:, None]


def _same(segments: torch.Tensor) -> torch.Tensor:
    """Who may see whom. Padding sees padding, so that no row of scores is empty; nobody reads it."""
    return segments[:, :, None] == segments[:, None, :]


def measure(spec: Record) -> Iterator[Record]:
    """Times one shape, by every recipe that is asked for, with as many rows as fit."""
    require_accelerator(_device(), tiny=spec["tiny"])
    ends = time.monotonic() + spec["seconds"]
    torch.set_float32_matmul_precision("high")
    shape = shape_of(spec["shape"], tiny=spec["tiny"], rows=spec["rows"])
    encoder = encoder_of(shape, tiny=spec["tiny"])
    pool, rows = rows_of(shape, encoder), shape.rows
    for recipe in spec["recipes"]:
        record = None
        while record is None:
            record = _attempt(shape, encoder, pool, rows, spec | {"recipe": recipe, "ends": ends})
            rows = rows if record else rows // 2
        yield {"shape": spec["shape"], "side": "torch", "recipe": recipe} | record


def _attempt(shape: Shape, encoder: EncoderConfig, pool: Batch, rows: int, spec: Record) -> Record | None:
    """Times one recipe; None if so many rows do not fit into the memory."""
    try:
        timed = _timed(Trainer(shape, encoder, compiled=spec["recipe"] == "compiled"), pool, rows, spec)
        return timed | work_of(encoder, pool, rows)._asdict()
    except torch.cuda.OutOfMemoryError:
        if rows == 1:
            raise
        return None
    finally:
        torch.compiler.reset()
        gc.collect()
        torch.cuda.empty_cache()


class Trainer:
    """A model, its optimizer and the step that updates it.

    Args:
        shape, encoder: what to train.
        compiled: whether `torch.compile` makes the step.
    """

    def __init__(self, shape: Shape, encoder: EncoderConfig, *, compiled: bool):
        torch.manual_seed(0)
        self.device = _device()
        self.model = SparseMaskedLM(encoder, packed=shape.median_document is not None).to(self.device).train()
        # Decay as ours has it: matrices and tables, not norms and biases.
        params = list(self.model.parameters())
        groups = [
            {"params": [p for p in params if p.ndim > 1], "weight_decay": 0.01},
            {"params": [p for p in params if p.ndim == 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.98), eps=1e-8, fused=True)
        self.loss = torch.compile(self.model) if compiled else self.model

    def step(self, batch: Tensors) -> torch.Tensor:
        """One update, with gradients clipped by their global norm as ours are; returns the loss, on the device."""
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device, torch.bfloat16):
            loss = self.loss(*batch)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.detach()


def _timed(trainer: Trainer, pool: Batch, rows: int, spec: Record) -> Record:
    """Runs the step over the rows, again and again."""
    device = trainer.device
    batches = [tensors_of(batch, device) for batch in batches_of(pool, rows)]
    cycle, loss = itertools.cycle(batches), torch.tensor(0.0)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()

    def run(steps: int) -> None:
        nonlocal loss
        for _ in range(steps):
            loss = trainer.step(next(cycle))
        if device == "cuda":
            torch.cuda.synchronize()

    start = time.perf_counter()
    run(1)
    first = time.perf_counter() - start
    timing = time_steps(run, seconds=budget(spec["ends"], tiny=spec["tiny"]))
    if not np.isfinite(float(loss)):
        raise FloatingPointError(f"the loss is {float(loss)} after the steps that were timed")
    peak = torch.cuda.max_memory_allocated() / _GIB if device == "cuda" else None
    return {
        "rows": rows,
        **timing.as_record(),
        "compile_seconds": first,
        "peak_gib": peak,
        "loss": float(loss),
    }


def tensors_of(batch: Batch, device: str) -> Tensors:
    """A batch on the device, ids as 64-bit numbers, as torch looks them up."""
    fields = [field.astype(np.int64) if field.dtype == np.int32 else field for field in batch]
    return tuple(torch.from_numpy(np.ascontiguousarray(field)).to(device) for field in fields)


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


if __name__ == "__main__":
    serve(measure)
