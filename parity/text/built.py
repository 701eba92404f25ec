"""Texts that are built for one tokenizer: its special tokens as text, and texts around its limit."""

from collections.abc import Callable, Sequence

from parity.text.corpus import Text, groups, pairs, sentences

# Reads a text whole: how many tokens it has before anything is cut.
Length = Callable[[Text], int]

_USUAL = ("[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "<s>", "</s>", "<mask>", "<pad>", "<unk>")
_AROUND = (
    *("{}", " {}", "{} ", "the {} of Paris", "the{}of", "the  {}  of", "{}{}", "{} {}", "{}.", "({})", "the\t{}\nof"),
    *("Paris is the capital of {}", "{} is long"),
)
_FEWER = ("{}", "the {} of Paris", "the{}of")
# Texts of these many tokens more than the limit.
_BEYOND = (-2, -1, 0, 1, 2, 3)


def corpus(special: Sequence[str], limit: int, length: Length, together: Length) -> dict[str, tuple[Text, ...]]:
    """All groups of texts for one tokenizer.

    Args:
        special: its special tokens, the mask first if there is one.
        limit: tokens that are read of a text.
        length, together: of a text, and of two that are read together.
    """
    singles: dict[str, tuple[Text, ...]] = dict(groups())
    return {
        **singles,
        "special-tokens": tuple(special_tokens(special)),
        "limit": tuple(around_limit(limit, length)),
        "pairs": (*pairs(), *two_masks(special)),
        "pairs-limit": tuple(pairs_around_limit(limit, together)),
    }


def special_tokens(special: Sequence[str]) -> list[str]:
    """Special tokens as text: the tokenizer's own in every place, those of others in a few."""
    found = [around.format(*[token] * around.count("{}")) for token in special for around in _AROUND]
    others = [token for token in _USUAL if token not in special]
    found += [around.format(token) for token in others for around in _FEWER]
    found += [changed for token in special for changed in (token.lower(), token[:-1], f"{token[:1]} {token[1:]}")]
    return list(dict.fromkeys(found))


def two_masks(special: Sequence[str]) -> list[Text]:
    """Special tokens in each of two texts."""
    return [(f"the {token} of", f"is {token}") for token in special]


def around_limit(limit: int, length: Length) -> list[str]:
    """Texts of just under, at, and above the limit; beginnings, ends and middles differ, so that what is cut shows."""
    found = []
    for start, beyond in enumerate(_BEYOND):
        text = of_length(limit + beyond, start, length)
        found += [text] if text else []
    return [*found, " ".join(_flow(limit * 2, 5)), "".join(_flow(limit, 9)), " ".join(_flow(limit * 2, 3)).upper()]


def of_length(tokens: int, start: int, length: Length) -> str:
    """A text of exactly so many tokens, as nearly as words allow: none has fewer by more than a word's."""
    words = _flow(tokens, start)
    low, high = 0, len(words)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if length(" ".join(words[:middle])) <= tokens else (low, middle - 1)
    text = " ".join(words[:low])
    for _ in range(tokens):  # at most: a tokenizer may make nothing of it
        if not 0 < length(text) < tokens or length(text + " a") > tokens:
            break
        text += " a"
    return text


def pairs_around_limit(limit: int, together: Length) -> list[Text]:
    """Two texts that do not fit together: the first is longer, the second, both are; and such as just fit."""
    long, half, short = " ".join(_flow(limit * 2, 1)), " ".join(_flow(limit // 2, 4)), "Paris is long"
    found: list[Text] = [(long, short), (short, long), (long, long), (half, half), (long, ""), ("", long), (long, half)]
    for start, beyond in enumerate(_BEYOND):
        text = of_length(limit + beyond, start, lambda one: together((short, str(one))))
        found += [(short, text), (text, short)] if text else []
    return found


def _flow(count: int, start: int) -> list[str]:
    """So many words of prose, from another place each."""
    words = " ".join(sentences(60)).split()
    return [words[(start * 31 + step) % len(words)] for step in range(max(count, 1))]
