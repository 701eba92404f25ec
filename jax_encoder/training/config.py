"""What a pretraining run can be told. Standard library only, so that `--help` starts at once."""

import dataclasses
import math
from typing import Any, Literal, Self

from jax_encoder import versions
from jax_encoder.errors import InputError
from jax_encoder.training import mesh, text_options
from jax_encoder.training.limits import at_least, flag, within
from jax_encoder.training.text_options import TextOptions as TextOptions

# What saved options of earlier versions lack: a new one has its row here, as in `jax_encoder.config`.
_ADDED: versions.Added = {
    2: {
        "text.digits": lambda _: "whole",
        "text.whitespace": lambda _: None,
        "text.unknown": lambda _: None,
    },
    # Dropout draws other masks, too.
    3: {
        "model.attention": lambda _: "einsum",
    },
    4: {
        "text.text_field": lambda _: "text",
        "text.documents": lambda _: "paragraphs",
        "text.workers": lambda _: 0,
        "recipe": lambda _: None,
        "max_skipped": lambda _: 1,
        "model.init": lambda _: "truncated",
        "optimizer.optimizer": lambda _: "adamw",
        "optimizer.momentum": lambda _: 0.95,
        "optimizer.average": lambda _: None,
        "mesh": lambda _: None,
    },
}
# A run of an earlier version has dropped by masks that are no longer drawn.
DRAWN_SINCE = 3

# `jax_encoder.kernels.table` has what they are; "auto" takes what suits the device and the layer.
Attention = Literal["auto", "pallas", "splash", "windows", "rows", "einsum"]
Preset = Literal["tiny", "mini", "bert_base", "bert_large", "minilm_l6", "roberta_base", "modernbert_base"]
# `jax_encoder.training.optimizer` has both.
Optimizer = Literal["adamw", "stable_adamw", "lamb", "muon"]
Schedule = Literal["cosine", "linear", "wsd", "wsd_sqrt", "inverse_root"]
STAYING = ("wsd", "wsd_sqrt")  # at the highest rate, until the last steps
# `jax_encoder.training.initial` has what they are.
Init = Literal["truncated", "normal", "megatron"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The encoder, and the numbers it computes in.

    Attributes:
        preset: Sizes and form of the encoder.
        encoder: A JSON file with every field of an EncoderConfig, in place of a preset; the "encoder" part of any run's
            config.json is one.
        seq_len: Tokens per row; None: the encoder's longest, at most 512.
        dropout: One rate for embeddings, attention weights and residual branches; None: the preset's.
        dtype: What the network computes in. Parameters, norms, softmax and loss are float32 either way.
        matmul_precision: Of float32 products. On a processor all are float32; on NVIDIA GPUs "default" and "high" are
            TF32; on TPUs "default" is bfloat16 and "high" three passes of it.
        attention: How attention is computed. "auto" takes what suits the device and each layer, and says what; a layer
            that cannot be computed as asked for takes einsum.
        init: How kernels and tables are drawn: from a normal cut at two standard deviations (BERT), from a whole one
            (RoBERTa), or cut and narrower by the root of twice the layers where a block adds to the residual stream
            (Megatron-LM, ModernBERT).
    """

    preset: Preset = "mini"
    encoder: str | None = None
    seq_len: int | None = None
    dropout: float | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    matmul_precision: Literal["default", "high", "highest"] = "high"
    attention: Attention = "auto"
    init: Init = "truncated"

    def check(self) -> None:
        """Raises InputError for a value that cannot work."""
        if self.seq_len is not None:
            at_least("seq_len", self.seq_len, 3)
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise InputError(f"--dropout must be at least 0 and below 1, got {self.dropout}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerOptions:
    """The optimizer, and its learning rate over time.

    Attributes:
        optimizer: AdamW (Loshchilov & Hutter 2019); StableAdamW, whose step is shorter where gradients surprise
            (Wortsman et al. 2023); LAMB, whose step is as long as the parameter (You et al. 2020); or Muon, which makes
            the steps of hidden layers' matrices orthogonal and leaves the rest to AdamW, at the same learning rate
            (Jordan et al. 2024).
        learning_rate: The highest learning rate, reached after the warm-up.
        warmup_steps: Steps over which the learning rate rises linearly from almost 0.
        schedule: How the learning rate falls to 0 after the warm-up: as a cosine, linearly, or (warm-up, stable, decay)
            not until the last --decay-fraction of all steps, then linearly or as 1 - the root of the share that is
            over; inverse_root falls with the root of the steps so far, and never to 0.
        decay_fraction: Share of all steps over which wsd and wsd_sqrt fall to 0.
        weight_decay: Decoupled, times the learning rate; on kernels and embedding tables only.
        momentum: Of Muon's matrices: decay of the mean of their gradients.
        average: Decay of a moving average of the parameters, which the run keeps beside them and `export --average`
            writes. None: none is kept.
        b1: Decay of the mean of the gradients.
        b2: Decay of the mean of their squares.
        eps: Added to the root of the mean square, outside the root.
        clip_norm: Gradients whose global norm is larger are scaled down to it; None: none are.
    """

    optimizer: Optimizer = "adamw"
    learning_rate: float = 3e-3
    warmup_steps: int = 100
    schedule: Schedule = "cosine"
    decay_fraction: float = 0.2
    weight_decay: float = 0.01
    b1: float = 0.9
    b2: float = 0.98
    momentum: float = 0.95
    average: float | None = None
    eps: float = 1e-8
    clip_norm: float | None = 1.0

    def check(self, steps: int) -> None:
        """Raises InputError for a value that cannot work in a run of `steps`."""
        for name in ("learning_rate", "eps", *(() if self.clip_norm is None else ("clip_norm",))):
            within(flag(name), getattr(self, name), above=0, below=math.inf)
        for name in ("b1", "b2", "momentum", *(() if self.average is None else ("average",))):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"--{name} must be at least 0 and below 1, got {getattr(self, name)}")
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(f"--weight-decay must be at least 0, got {self.weight_decay}")
        at_least("warmup_steps", self.warmup_steps, 0)
        if self.warmup_steps >= steps:
            raise InputError(
                f"--warmup-steps {self.warmup_steps} leaves nothing of --steps {steps}: choose fewer, or train longer"
            )
        if self.schedule in STAYING:
            within("decay-fraction", self.decay_fraction, above=0, below=1)
            if self.warmup_steps + self.decay_steps(steps) > steps:
                raise InputError(
                    f"--warmup-steps {self.warmup_steps} and a decay over {self.decay_steps(steps)} steps "
                    f"(--decay-fraction {self.decay_fraction}) do not fit into --steps {steps}"
                )

    def decay_steps(self, steps: int) -> int:
        """Steps over which a schedule that stays up falls, at least one."""
        return max(1, round(self.decay_fraction * steps))


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Trains an encoder on text by masked-language modelling, and proves at the end that it is the same in PyTorch.

    Attributes:
        run: Folder for everything the run leaves; it must not exist yet, or be empty.
        steps: Updates of the parameters.
        batch_size: Rows per step.
        accumulate: Parts that a step's rows are computed in, one after the other, to save memory; the update is the
            same.
        mesh: How devices share the work: sizes of the axes data, fsdp and tensor that multiply to the devices, as in
            data=4,fsdp=2; or auto, which is all along data. None: one device. data splits the rows, fsdp the rows and
            the parameters, tensor the heads, the MLP and the vocabulary.
        seed: Of the initial parameters, the order of rows, the masks and dropout.
        eval_every: Steps between evaluations on held-out text; there is always one at the end.
        checkpoint_every: Steps between checkpoints; there is always one at the start and at the end.
        keep: Newest checkpoints to keep.
        max_skipped: Steps in a row that may be left out, because their loss or a gradient is not finite, until the run
            stops and keeps what `replay` needs.
        verify: Whether to check at the end that PyTorch computes the same function from the trained parameters.
        recipe: Whose numbers stand where no option says otherwise: those of this preset's authors. None: those of
            --preset. The numbers shown here are mini's.
    """

    run: str = "runs/pretrain"
    steps: int = 2000
    batch_size: int = 8
    accumulate: int = 1
    mesh: str | None = None
    seed: int = 0
    eval_every: int = 500
    checkpoint_every: int = 500
    keep: int = 2
    max_skipped: int = 3
    verify: bool = True
    recipe: Preset | None = None
    text: TextOptions = text_options.DEFAULT
    model: ModelOptions = ModelOptions()
    optimizer: OptimizerOptions = OptimizerOptions()

    def check(self) -> None:
        """Raises InputError for options that cannot work, alone or together."""
        for name in ("steps", "batch_size", "accumulate", "eval_every", "checkpoint_every", "keep", "max_skipped"):
            at_least(name, getattr(self, name), 1)
        if not 0 <= self.seed < 2**32:
            raise InputError(f"--seed must be at least 0 and below 2^32, got {self.seed}")
        if self.batch_size % self.accumulate:
            raise InputError(
                f"--batch-size {self.batch_size} cannot be computed in --accumulate {self.accumulate} equal parts"
            )
        if self.mesh not in (None, mesh.AUTO):
            mesh.parse(self.mesh)
        self.text.check()
        self.model.check()
        self.optimizer.check(self.steps)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the folder, which may be moved, with the version that it is of."""
        values = {versions.KEY: versions.newest(_ADDED), **dataclasses.asdict(self)}
        del values["run"]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any], *, run: str) -> Self:
        """Reads what `to_dict` gave in this version or an earlier one, after a trip through JSON.

        Raises:
            InputError: it is of a newer version, a name is unknown or missing, or a value refused.
        """
        if not isinstance(values, dict):
            raise InputError(f"training must be an object, got {values!r}")
        names = _flat(dataclasses.asdict(cls())).keys() - {"run"}
        try:
            read = versions.upgraded(_flat(values), names, _ADDED, what="training")
        except ValueError as error:
            raise InputError(str(error)) from None
        options: dict[str, dict[str, Any]] = {group: {} for group in ("", *_GROUPS)}
        for name, value in read.items():
            group, _, option = name.rpartition(".")
            options[group][option] = tuple(value) if isinstance(value, list) else value
        parts = {group: make(**options[group]) for group, make in _GROUPS.items()}
        config = cls(**options[""], **parts, run=run)
        config.check()
        return config


_GROUPS: dict[str, Any] = {"text": TextOptions, "model": ModelOptions, "optimizer": OptimizerOptions}


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """Options by name, those of a group as `text.data`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        grouped = name in _GROUPS and isinstance(value, dict)
        flat |= {f"{name}.{option}": one for option, one in value.items()} if grouped else {name: value}
    return flat
