"""What kind of tokenizer to train. Standard library only."""

from typing import Literal, NamedTuple

from jax_encoder.errors import InputError

Kind = Literal["wordpiece", "bpe", "unigram"]
Digits = Literal["whole", "single"]
Whitespace = Literal["keep", "collapse"]
Unknown = Literal["token", "bytes"]


class TokenizerForm(NamedTuple):
    """What to learn.

    Attributes:
        kind: "wordpiece" as for uncased BERT (lower case, no accents); "bpe" over bytes, as for RoBERTa; "unigram" as
            for XLM-R and ALBERT.
        digits: "whole" leaves numbers to the text, "single" makes every digit a token.
        whitespace: "keep", or "collapse" to one space; None is what the kind is known for: byte pairs keep it.
        unknown: what stands for a character without a token: one [UNK], or its "bytes"; None is what the kind is known
            for: byte pairs spell bytes.
    """

    kind: Kind
    digits: Digits = "whole"
    whitespace: Whitespace | None = None
    unknown: Unknown | None = None

    def check(self) -> None:
        """Raises InputError for what a kind cannot do."""
        if self.kind == "wordpiece" and self.whitespace == "keep":
            raise InputError(
                "--whitespace keep: WordPiece drops what stands between words; choose --tokenizer-kind bpe or unigram"
            )
        if self.kind == "bpe" and self.unknown == "token":
            raise InputError(
                "--unknown token: byte pairs spell everything; choose --tokenizer-kind wordpiece or unigram"
            )

    @property
    def spells_bytes(self) -> bool:
        """Whether every character has tokens."""
        return self.kind == "bpe" or self.unknown == "bytes"
