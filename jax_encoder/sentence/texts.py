"""Texts as a folder's tokenizer reads them."""

from collections.abc import Iterable

from tokenizers import Tokenizer, normalizers

from jax_encoder.errors import InputError
from jax_encoder.huggingface.checkpoint import Checkpoint
from jax_encoder.huggingface.vocabularies import why_unread
from jax_encoder.sentence.form import SentenceForm


def reading(checkpoint: Checkpoint, form: SentenceForm, limit: int) -> Tokenizer:
    """The checkpoint's tokenizer with our truncation, and without the padding that it may have brought along."""
    if checkpoint.tokenizer is None:
        raise InputError(why_unread(form.encoder))
    tokenizer = copied(checkpoint.tokenizer, form)
    special = tokenizer.num_special_tokens_to_add(is_pair=False)
    if limit <= special:
        raise InputError(f"{form.encoder}: texts of {limit} tokens, {special} of them special, have no room for a word")
    side = (tokenizer.truncation or {}).get("direction", "right")
    tokenizer.enable_truncation(
        limit, direction=side if form.cut_left is None else "left" if form.cut_left else "right"
    )
    return tokenizer


def both(texts: tuple[str, str]) -> tuple[str, str]:
    """Two texts that are read together, if both are texts."""
    first, second = checked(texts, "")
    return first, second


def copied(tokenizer: Tokenizer, form: SentenceForm) -> Tokenizer:
    """A tokenizer of our own that does not pad, and lower-cases first if the form says so."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_padding()
    if form.lower_case:
        own = [] if copy.normalizer is None else [copy.normalizer]
        copy.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
    return copy


def checked(texts: Iterable[object], prompt: str) -> list[str]:
    """The texts behind the prompt, if all of them are texts."""
    if isinstance(texts, str | bytes):
        raise InputError("texts must be several strings, got one: pass a list, [text], even of one")
    found = []
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"texts[{index}] must be a string, got {type(text).__name__}")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(f"texts[{index}] is not Unicode: {error.reason} at position {error.start}") from None
        found.append(prompt + text)
    return found
