"""What a pretraining run can be told. Standard library only, so that `--help` starts at once."""

import dataclasses
import math
from typing import Any, Literal, Self

from jax_encoder import versions
from jax_encoder.errors import InputError
from jax_encoder.training import mesh, text_options
from jax_encoder.training.launch import Launch
from jax_encoder.training.limits import at_least
from jax_encoder.training.optimizer_config import OptimizerOptions
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
        "text.mask_unit": lambda _: "tokens",
        "text.mask_shares": lambda _: [0.8, 0.1],
        "recipe": lambda _: None,
        "max_skipped": lambda _: 1,
        "label_smoothing": lambda _: 0.0,
        "z_loss": lambda _: 0.0,
        "model.init": lambda _: "truncated",
        "optimizer.optimizer": lambda _: "adamw",
        "optimizer.momentum": lambda _: 0.95,
        "optimizer.average": lambda _: None,
        "mesh": lambda _: None,
        "model.remat": lambda _: "none",
    },
}
# A run of an earlier version has dropped by masks that are no longer drawn.
DRAWN_SINCE = 3

# `jax_encoder.kernels.table` has what they are; "auto" takes what suits the device and the layer.
Attention = Literal["auto", "pallas", "splash", "windows", "rows", "einsum"]
# `jax_encoder.remat` has what they are.
Remat = Literal["none", "dots", "all"]
Preset = Literal["tiny", "mini", "bert_base", "bert_large", "minilm_l6", "roberta_base", "modernbert_base"]
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
        remat: What a layer's backward pass computes again to save memory: "none"; "dots": all but the products with
            kernels; "all": the whole layer. Parameters come out the same, up to rounding.
    """

    preset: Preset = "mini"
    encoder: str | None = None
    seq_len: int | None = None
    dropout: float | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    matmul_precision: Literal["default", "high", "highest"] = "high"
    attention: Attention = "auto"
    init: Init = "truncated"
    remat: Remat = "none"

    def check(self) -> None:
        """Raises InputError for a value that cannot work."""
        if self.seq_len is not None:
            at_least("seq_len", self.seq_len, 3)
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise InputError(f"--dropout must be at least 0 and below 1, got {self.dropout}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Trains an encoder on text by masked-language modelling, and proves at the end that it is the same in PyTorch.

    Attributes:
        run: Folder for everything the run leaves; it must not exist yet, or be empty.
        steps: Updates of the parameters.
        batch_size: Rows per step.
        accumulate: Parts that a step's rows are computed in, one after the other, to save memory; the update is the
            same.
        mesh: How devices share the work: sizes of the axes data (rows), fsdp (rows and parameters) and tensor (heads,
            MLP, vocabulary), as in data=4,fsdp=2; auto is all along data. None: one device.
        seed: Of the initial parameters, the order of rows, the masks and dropout.
        eval_every: Steps between evaluations on held-out text; there is always one at the end.
        checkpoint_every: Steps between checkpoints; there is always one at the start and at the end.
        keep: Newest checkpoints to keep.
        label_smoothing: Share of each target's probability that is spread over the whole vocabulary, while training.
        z_loss: Weight of the square of the logarithm that the softmax divides by, which keeps logits near 0; 1e-4 is
            usual. Both are a part of the training loss, and of no evaluation.
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
    label_smoothing: float = 0.0
    z_loss: float = 0.0
    max_skipped: int = 3
    verify: bool = True
    recipe: Preset | None = None
    text: TextOptions = text_options.DEFAULT
    model: ModelOptions = ModelOptions()
    optimizer: OptimizerOptions = dataclasses.field(default_factory=OptimizerOptions)
    launch: Launch = dataclasses.field(default_factory=Launch)

    def check(self) -> None:
        """Raises InputError for options that cannot work, alone or together."""
        for name in ("steps", "batch_size", "accumulate", "eval_every", "checkpoint_every", "keep", "max_skipped"):
            at_least(name, getattr(self, name), 1)
        if not 0 <= self.seed < 2**32:
            raise InputError(f"--seed must be at least 0 and below 2^32, got {self.seed}")
        mesh.check_parts(self.batch_size, self.accumulate, self.mesh)
        self.launch.check()
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"--label-smoothing must be at least 0 and below 1, got {self.label_smoothing}")
        if not 0 <= self.z_loss < math.inf:
            raise InputError(f"--z-loss must be at least 0 and finite, got {self.z_loss}")
        self.text.check()
        self.model.check()
        self.optimizer.check(self.steps)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the folder, which may be moved, and the processes, with the version that it is of."""
        values = {versions.KEY: versions.newest(_ADDED), **dataclasses.asdict(self)}
        return {name: value for name, value in values.items() if name not in _NOT_KEPT}

    @classmethod
    def from_dict(cls, values: dict[str, Any], *, run: str) -> Self:
        """Reads what `to_dict` gave in this version or an earlier one, after a trip through JSON.

        Raises:
            InputError: it is of a newer version, a name is unknown or missing, or a value refused.
        """
        if not isinstance(values, dict):
            raise InputError(f"training must be an object, got {values!r}")
        names = _flat(dataclasses.asdict(cls())).keys() - _NOT_KEPT
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


_NOT_KEPT = frozenset({"run", "launch"})
_GROUPS: dict[str, Any] = {"text": TextOptions, "model": ModelOptions, "optimizer": OptimizerOptions}


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """Options by name, those of a group as `text.data`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        grouped = name in _GROUPS and isinstance(value, dict)
        flat |= {f"{name}.{option}": one for option, one in value.items()} if grouped else {name: value}
    return flat
