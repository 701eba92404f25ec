"""How well a tokenizer fits a text: what it cannot spell, and how many tokens it takes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jax_encoder.data.tokenizer import Encoded, Vocabulary


class TokenizerReport(NamedTuple):
    """Figures of a text in tokens.

    Attributes:
        vocabulary: tokens that the tokenizer has.
        documents, characters, words, tokens: of the text; words are what stands between blanks.
        unknown: how many of the tokens are [UNK].
    """

    vocabulary: int
    documents: int
    characters: int
    words: int
    tokens: int
    unknown: int

    @property
    def unknown_share(self) -> float:
        """Share of the tokens that are [UNK]."""
        return self.unknown / max(self.tokens, 1)

    @property
    def characters_per_token(self) -> float:
        """How much of the text a token holds."""
        return self.characters / max(self.tokens, 1)

    @property
    def fertility(self) -> float:
        """Tokens a word."""
        return self.tokens / max(self.words, 1)

    def to_dict(self) -> dict[str, int | float]:
        """All figures, for JSON."""
        shares = ("unknown_share", "characters_per_token", "fertility")
        return {**self._asdict(), **{name: round(getattr(self, name), 6) for name in shares}}

    def __str__(self) -> str:
        unknown = f"{_percent(self.unknown_share)} of them [UNK]" if self.unknown else "no [UNK]"
        return (
            f"{self.vocabulary:,} tokens; the text is {self.tokens:,}, {unknown}, "
            f"{self.characters_per_token:.2f} characters a token, {self.fertility:.2f} tokens a word"
        )


def tokenizer_report(documents: Sequence[str], encoded: Encoded, vocabulary: Vocabulary) -> TokenizerReport:
    """Counts.

    Args:
        documents: the text.
        encoded: the same in tokens.
        vocabulary: of the tokenizer.
    """
    unknown = 0 if vocabulary.unk is None else int(np.count_nonzero(encoded.tokens == vocabulary.unk))
    return TokenizerReport(
        vocabulary.size,
        len(documents),
        sum(map(len, documents)),
        sum(len(document.split()) for document in documents),
        len(encoded.tokens),
        unknown,
    )


def _percent(share: float) -> str:
    """With two digits, however small."""
    return f"{100 * share:.2g} %"
