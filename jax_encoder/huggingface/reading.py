"""How the texts of a folder are read: as tokenizer.json says, with the special tokens and the frame that transformers'
class for the folder adds to it; and what transformers would do otherwise, in words.
"""

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import AddedToken, Encoding, Tokenizer, models

from jax_encoder.data.tokenizer import parse_tokenizer
from jax_encoder.errors import InputError
from jax_encoder.huggingface.files import read_json_if_there
from jax_encoder.huggingface.tokenizer_classes import ROLES, Pieces, class_of
from jax_encoder.huggingface.vocabularies import tokenizer_of_vocabulary, with_added_tokens

TOKENIZER, TOKENIZER_CONFIG, SPECIAL_TOKENS = "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"
# Texts that tell one way of reading from another, and what to look at.
_PROBES = {
    "Paris IS": "do_lower_case",
    "café": "strip_accents, keep_accents",
    "中文": "tokenize_chinese_chars",
    "it's (12)": "the pre-tokenizer",
    "ab": "add_prefix_space",
    " a  b ": "the treatment of blanks",
    "a\u0007b\u200b": "the cleaning of control characters",
    "ﬁ①": "the Unicode form",
}
_OPTIONS = ("single_word", "lstrip", "rstrip", "normalized")  # of an added token


class Reading(NamedTuple):
    """A tokenizer, and what is to be said of it.

    Attributes:
        tokenizer: frames texts, and finds special tokens in them.
        notes: what transformers reads otherwise, a sentence each.
        pads_left: whether transformers pads a batch of texts on the left.
    """

    tokenizer: Tokenizer
    notes: tuple[str, ...]
    pads_left: bool


def read_tokenizer(folder: Path, fields: Mapping[str, Any]) -> Reading | None:
    """Reads a folder's tokenizer; None where there is no tokenizer.json, nor a vocabulary of a class that is known.

    Args:
        folder: of the checkpoint.
        fields: of its config.json.

    Raises:
        InputError: a file cannot be read, or is no tokenizer.
    """
    path, config = folder / TOKENIZER, tokenizer_config(folder)
    tokenizer, content = opened_tokenizer(path) if path.is_file() else (None, None)
    named = config.get("tokenizer_class") or fields.get("tokenizer_class")
    name, theirs = class_of(named, str(fields.get("model_type", "")))
    spelled = _spelled(config, {} if theirs is None else theirs.tokens)
    if tokenizer is None:
        tokenizer, config = tokenizer_of_vocabulary(folder, config, theirs, spelled), with_added_tokens(config, folder)
        if tokenizer is None:
            return None
    _mark(tokenizer, config, spelled, lstrip=theirs is not None and theirs.mask_takes_blank)
    padding = tokenizer.padding or {}
    pads_left = config.get("padding_side", padding.get("direction")) == "left"
    if theirs is None:
        return Reading(tokenizer, (), pads_left)
    frame = theirs.frame(spelled, tokenizer.token_to_id)
    if tokenizer.num_special_tokens_to_add(is_pair=False) == 0 and frame is not None:
        tokenizer.post_processor = frame
    if content is None:
        return Reading(tokenizer, (), pads_left)
    pieces = theirs.pieces(config, _charsmap(content.get("normalizer")))
    alone, together = _other_frame(tokenizer, frame)
    said = [*alone, *_other_pieces(tokenizer, pieces)]
    if not said + together:
        return Reading(tokenizer, (), pads_left)
    what = "texts" if said else "two texts that are read together (but not one alone)"
    note = (
        f"{path} is followed; transformers and sentence-transformers will read {what} otherwise, for their {name} "
        f"makes parts of it anew: {'; '.join(said or together)}"
    )
    return Reading(tokenizer, (note,), pads_left)


def opened_tokenizer(path: Path) -> tuple[Tokenizer, dict[str, Any]]:
    """The tokenizer of a tokenizer.json, and what that holds. Raises `InputError` if it is none."""
    try:
        return parse_tokenizer(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a tokenizer.json of Hugging Face tokenizers: {error}") from None


def tokenizer_config(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json with what an older special_tokens_map.json says, as transformers joins them."""
    config = read_json_if_there(folder / TOKENIZER_CONFIG)
    return config if "added_tokens_decoder" in config else config | read_json_if_there(folder / SPECIAL_TOKENS)


def _spelled(config: Mapping[str, Any], tokens: Mapping[str, str]) -> dict[str, str]:
    """Role -> spelling of the special tokens."""
    named = {role: config.get(f"{role}_token", tokens.get(role)) for role in ROLES}
    contents = {role: value.get("content") if isinstance(value, dict) else value for role, value in named.items()}
    return {role: value for role, value in contents.items() if isinstance(value, str)}


def _mark(tokenizer: Tokenizer, config: Mapping[str, Any], spelled: Mapping[str, str], *, lstrip: bool) -> None:
    """Adds the special tokens that tokenizer.json does not mark, so that they are found in texts."""
    for token in _added(config, frozenset(spelled.values())):
        if token not in tokenizer.get_added_tokens_decoder().values():
            (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
    marked = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    extra = config.get("extra_special_tokens", config.get("additional_special_tokens")) or []
    named: dict[object, object] = {value: config.get(f"{role}_token") for role, value in spelled.items()}
    named |= {_content(value): value for value in (extra.values() if isinstance(extra, dict) else extra)}
    for content, value in named.items():
        if isinstance(content, str) and content not in marked:
            options = {key: bool(value.get(key, False)) for key in _OPTIONS} if isinstance(value, dict) else {}
            if content == spelled.get("mask") and not options:
                options = {"lstrip": lstrip}
            tokenizer.add_special_tokens([AddedToken(content, **{"normalized": False} | options)])


def _added(config: Mapping[str, Any], named: frozenset[str]) -> Iterator[AddedToken]:
    """Tokens that tokenizer_config.json lists by their ids, in the order of these; those of a role are special."""
    listed = config.get("added_tokens_decoder") or {}
    try:
        for _, value in sorted(listed.items(), key=lambda item: int(item[0])):
            options = {key: bool(value[key]) for key in _OPTIONS if key in value}
            special = bool(value.get("special", False)) or value["content"] in named
            yield AddedToken(value["content"], special=special, **options)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{TOKENIZER_CONFIG}: added_tokens_decoder cannot be read: {error!r}") from None


def _content(value: object) -> object:
    return value.get("content") if isinstance(value, dict) else value


def _charsmap(normalizer: object) -> bytes | None:
    """The table of characters that a normalizer of tokenizer.json carries."""
    if not isinstance(normalizer, dict):
        return None
    parts = normalizer.get("normalizers", [normalizer])
    coded = next((part["precompiled_charsmap"] for part in parts if part.get("precompiled_charsmap")), None)
    return None if coded is None else base64.b64decode(coded)


def _other_frame(tokenizer: Tokenizer, frame: Any) -> tuple[list[str], list[str]]:
    """What the class puts around one text, and around two, where tokenizer.json has something else."""
    if frame is None or tokenizer.post_processor is None:
        return [], []
    nothing = Tokenizer(models.BPE())
    (there, here) = (
        [list(zip(read.tokens, read.type_ids, strict=True)) for read in _framed(nothing, processor)]
        for processor in (frame, tokenizer.post_processor)
    )
    alone, together = (
        [f"{what} {_shown(there[one])} there, {_shown(here[one])} here"] if there[one] != here[one] else []
        for one, what in enumerate(("an empty text becomes", "two empty texts become"))
    )
    return alone, together


def _framed(nothing: Tokenizer, processor: Any) -> list[Encoding]:
    """What a post-processor puts around a text of no token, and around two."""
    return [processor.process(nothing.encode("")), processor.process(nothing.encode(""), nothing.encode(""))]


def _shown(tokens: list[tuple[str, int]]) -> str:
    return " ".join(f"{token}:{type_}" if type_ else token for token, type_ in tokens) or "nothing"


def _other_pieces(tokenizer: Tokenizer, theirs: Pieces) -> list[str]:
    """Where the class makes other pieces of a text, the first in full."""
    ours, differing, shown = Pieces(tokenizer.normalizer, tokenizer.pre_tokenizer), [], ""
    for text, what in _PROBES.items():
        there, here = (_cut(pieces, text) for pieces in (theirs, ours))
        if there != here:
            differing.append(what)
            shown = shown or f"{text!r} becomes {' '.join(there)!r} there, {' '.join(here)!r} here"
    return [f"{shown} ({', '.join(differing)})"] if shown else []


def _cut(pieces: Pieces, text: str) -> list[str]:
    normal = text if pieces.normalizer is None else pieces.normalizer.normalize_str(text)
    return (
        [normal] if pieces.pre_tokenizer is None else [cut for cut, _ in pieces.pre_tokenizer.pre_tokenize_str(normal)]
    )
