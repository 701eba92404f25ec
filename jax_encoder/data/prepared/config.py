"""What preparing can be told. Standard library only, so that `--help` starts at once."""

import dataclasses
import re
from typing import Any, Literal

from jax_encoder.data.tokenizer_form import Digits, Kind, TokenizerForm, Unknown, Whitespace
from jax_encoder.errors import InputError

_PART = re.compile(r"([1-9]\d*)/([1-9]\d*)")
# Options that change nothing of the result.
_OF_THE_WAY = ("to", "part", "workers")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Turns text of any size into a folder of packed tokens, which `pretrain --data DIR` trains on.

    Stopped at any moment, the same command goes on. Several machines that share the folder may prepare a part each; the
    same command without --part then puts the parts together. The result is the same, bit for bit.

    Attributes:
        to: Folder to make.
        data: Files, folders or globs: .txt with a blank line between documents, .jsonl, either of them .gz or .zst, or
            .parquet; hf:name is a dataset that the package datasets finds. `a.jsonl=0.7 b.parquet=0.3` are shares of
            what training sees. None: the State of the Union addresses.
        text_field: Field of a JSON line, or column of a table, that holds the text.
        documents: What ends a document in .txt: a blank line, or every line.
        seq_len: Tokens per row.
        tokenizer: A tokenizer.json of Hugging Face tokenizers to use. None: one is trained on a sample of the text.
        tokenizer_kind: What kind of tokenizer to train: BERT's WordPiece (lower case), byte pairs, or Unigram.
        digits: Whether numbers are left to the tokenizer's training, or every digit is a token.
        whitespace: Whether what stands between words is kept as it is, or becomes one space. None: byte pairs keep it.
        unknown: What stands for characters that have no token: one [UNK], or their bytes. None: byte pairs spell bytes.
        vocab_size: The most tokens that a trained tokenizer may have.
        tokenizer_text: MiB of text, from all over the corpus, that a tokenizer is trained on.
        duplicates: Copies and near copies of earlier documents are counted; "drop-copies" leaves the first kind out,
            "drop-near" both.
        held_out_share: One document in so many is held out, chosen by its text.
        workers: Processes. None: one for each core.
        part: `i/n`: only this machine's part of the work, for example 2/8.
    """

    to: str
    data: tuple[str, ...] = ()
    text_field: str = "text"
    documents: Literal["paragraphs", "lines"] = "paragraphs"
    seq_len: int = 512
    tokenizer: str | None = None
    tokenizer_kind: Kind = "wordpiece"
    digits: Digits = "whole"
    whitespace: Whitespace | None = None
    unknown: Unknown | None = None
    vocab_size: int = 30_528
    tokenizer_text: int = 64
    duplicates: Literal["keep", "drop-copies", "drop-near"] = "keep"
    held_out_share: int = 20
    workers: int | None = None
    part: str | None = None

    def check(self) -> None:
        """Raises InputError for options that cannot work."""
        self.tokenizer_form.check()
        for name, least in (("seq_len", 3), ("vocab_size", 1), ("tokenizer_text", 1), ("held_out_share", 2)):
            if getattr(self, name) < least:
                raise InputError(f"--{name.replace('_', '-')} must be at least {least}, got {getattr(self, name)}")
        if self.workers is not None and self.workers < 1:
            raise InputError(f"--workers must be at least 1, got {self.workers}")
        self.share()

    @property
    def tokenizer_form(self) -> TokenizerForm:
        """What tokenizer to train."""
        return TokenizerForm(self.tokenizer_kind, self.digits, self.whitespace, self.unknown)

    def share(self) -> tuple[int, int]:
        """Which part of how many, counted from 0.

        Raises:
            InputError: --part is not such a pair.
        """
        if self.part is None:
            return 0, 1
        match = _PART.fullmatch(self.part)
        if match is None or int(match[1]) > int(match[2]):
            raise InputError(f"--part must be i/n with i from 1 to n, as in 2/8, got {self.part!r}")
        return int(match[1]) - 1, int(match[2])

    def to_dict(self) -> dict[str, Any]:
        """The options that the result depends on."""
        values = dataclasses.asdict(self)
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items() if name not in _OF_THE_WAY}
