"""Ways to read text wrongly: each turns a recipe into the recipes that people use for it by mistake."""

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Any

from parity.text.recipe import Pooled, Recipe, opened

# From how text is to be read to how it is read by mistake, the commonest first; none where there is no such mistake.
Wrong = Callable[[Recipe], Iterator[Recipe]]
WrongPooling = Callable[[Pooled], Iterator[Pooled]]


def field(**changes: Callable[[Recipe], Any]) -> Wrong:
    """Other fields, given as functions of the recipe; what they do not change is none."""

    def wrong(recipe: Recipe) -> Iterator[Recipe]:
        values = {name: change(recipe) for name, change in changes.items()}
        if any(getattr(recipe, name) != value for name, value in values.items()):
            yield dataclasses.replace(recipe, **values)

    return wrong


def own_only(pooled: Pooled) -> Iterator[Pooled]:
    """Means alone: what is largest or first is another matter."""
    if {*pooled.modes} <= {"mean", "mean_sqrt_len_tokens"}:
        yield dataclasses.replace(pooled, own_only=True)


def cut_first(pooled: Pooled) -> Iterator[Pooled]:
    """Where vectors are both cut and scaled."""
    if pooled.normalize and pooled.width is not None:
        yield dataclasses.replace(pooled, cut_first=True)


def not_scaled(pooled: Pooled) -> Iterator[Pooled]:
    """Where they should be."""
    if pooled.normalize:
        yield dataclasses.replace(pooled, normalize=False)


def lower_cased(recipe: Recipe) -> Iterator[Recipe]:
    """In BERT's normaliser, or by one before the tokenizer's own."""
    content = recipe.content
    if lowers(content["normalizer"]) or _known_raw(content):
        return
    yield from _bert(recipe, lowercase=True)
    yield recipe.with_content(content | {"normalizer": _sequence({"type": "Lowercase"}, content["normalizer"])})


def case_kept(recipe: Recipe) -> Iterator[Recipe]:
    """Whatever lower-cases left out. BERT's normaliser goes on stripping accents, or ceases to with it."""
    if not lowers(recipe.content["normalizer"]):
        return
    yield from _bert(recipe, lowercase=False)
    yield from _bert(recipe, lowercase=False, strip_accents=True)
    yield from _without(recipe, "Lowercase")


def accents_stripped(recipe: Recipe) -> Iterator[Recipe]:
    """In BERT's normaliser, or by one before the tokenizer's own."""
    content = recipe.content
    if strips(content["normalizer"]) or _known_raw(content):
        return
    yield from _bert(recipe, strip_accents=True)
    first = {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}]}
    yield recipe.with_content(content | {"normalizer": _sequence(first, content["normalizer"])})


def accents_kept(recipe: Recipe) -> Iterator[Recipe]:
    """Whatever strips them left out."""
    if not strips(recipe.content["normalizer"]):
        return
    yield from _bert(recipe, strip_accents=False)
    yield from _without(recipe, "StripAccents", "NFKD", "NFD")
    yield from _without(recipe, "StripAccents")


def no_frame(recipe: Recipe) -> Iterator[Recipe]:
    """Nothing is put around a text, or around two."""
    if frames(recipe):
        yield recipe.with_content(recipe.content | {"post_processor": None})


def frame_twice(recipe: Recipe) -> Iterator[Recipe]:
    """A text that is framed already is framed again."""
    if not frames(recipe):
        return
    content = recipe.content
    template = _template(recipe)
    if template is not None:
        yield recipe.with_content(content | {"post_processor": template})


def space_kept(recipe: Recipe) -> Iterator[Recipe]:
    """Added tokens that swallow the blanks before them do not."""
    if _spaces_count(recipe):
        yield from _marked(recipe, True)


def space_swallowed(recipe: Recipe) -> Iterator[Recipe]:
    """The mask swallows the blanks before it, which it should not."""
    if _spaces_count(recipe):
        yield from _marked(recipe, False)


def padded_otherwise(recipe: Recipe) -> Iterator[Recipe]:
    """Where padding stands matters to an encoder only that counts columns."""
    if recipe.counting == "columns":
        yield dataclasses.replace(recipe, pad_left=not recipe.pad_left)


def spelled_out(recipe: Recipe) -> Iterator[Recipe]:
    """No token is marked as added: special tokens in a text are cut up like any other text."""
    content = recipe.content
    known = _vocabulary(content)
    if content["added_tokens"] and all(token["content"] in known for token in content["added_tokens"]):
        yield recipe.with_content(content | {"added_tokens": []})


def limits_off(recipe: Recipe) -> Iterator[Recipe]:
    """The special tokens are counted twice, or not at all."""
    special = opened(recipe.tokenizer).num_special_tokens_to_add(is_pair=False)
    for limit in (recipe.limit - special, recipe.limit + special):
        if special < limit != recipe.limit:
            yield dataclasses.replace(recipe, limit=limit)


def other_limit(recipe: Recipe) -> Iterator[Recipe]:
    """One that another file of the folder names."""
    for limit in recipe.limits:
        if limit != recipe.limit:
            yield dataclasses.replace(recipe, limit=limit)


def types_flat(recipe: Recipe) -> Iterator[Recipe]:
    """Only where two texts have types of their own, and the encoder is given them."""
    if recipe.typed and not recipe.flat_types and any(opened(recipe.tokenizer).encode("a", "a").type_ids):
        yield dataclasses.replace(recipe, flat_types=True)


def lowers(normalizer: Any) -> bool:
    """Whether a tokenizer.json's normaliser makes letters small."""
    return any(one["type"] == "Lowercase" or one.get("lowercase") is True for one in _each(normalizer))


def strips(normalizer: Any) -> bool:
    """Whether it takes accents away; BERT's does with lower case, unless it is told otherwise."""
    return any(
        one["type"] == "StripAccents"
        or (one["type"] == "BertNormalizer" and (one["strip_accents"] is None and one["lowercase"]))
        or one.get("strip_accents") is True
        for one in _each(normalizer)
    )


def frames(recipe: Recipe) -> bool:
    """Whether anything is put around a text."""
    return opened(recipe.tokenizer).num_special_tokens_to_add(is_pair=False) > 0


def _spaces_count(recipe: Recipe) -> bool:
    """Whether a space at a text's end is part of a token."""
    tokenizer = opened(recipe.tokenizer)
    one, other = (tokenizer.encode(text, add_special_tokens=False).ids for text in ("a", "a "))
    return one != other


def _each(normalizer: Any) -> Iterator[dict[str, Any]]:
    """A normaliser, or those that it is a sequence of."""
    if normalizer is None:
        return
    if normalizer["type"] == "Sequence":
        for one in normalizer["normalizers"]:
            yield from _each(one)
    else:
        yield normalizer


def _sequence(first: dict[str, Any], own: Any) -> dict[str, Any]:
    return {"type": "Sequence", "normalizers": [first, *([] if own is None else [own])]}


def _bert(recipe: Recipe, **changes: Any) -> Iterator[Recipe]:
    """BERT's normaliser with other options, where it is that."""
    content = recipe.content
    own = content["normalizer"]
    if own is not None and own["type"] == "BertNormalizer":
        yield recipe.with_content(content | {"normalizer": own | changes})


def _without(recipe: Recipe, *kinds: str) -> Iterator[Recipe]:
    """Normalisers of some kinds left out, where there are any."""
    content = recipe.content
    every = list(_each(content["normalizer"]))
    kept = [one for one in every if one["type"] not in kinds]
    if len(kept) < len(every):
        yield recipe.with_content(content | {"normalizer": {"type": "Sequence", "normalizers": kept}})


def _marked(recipe: Recipe, swallows: bool) -> Iterator[Recipe]:
    """Added tokens of which those that swallow, or the masks that do not, do otherwise."""
    content = recipe.content
    tokens = [
        token | {"lstrip": not swallows}
        if token["lstrip"] is swallows and (swallows or re.search("mask", token["content"], re.IGNORECASE))
        else token
        for token in content["added_tokens"]
    ]
    if tokens != content["added_tokens"]:
        yield recipe.with_content(content | {"added_tokens": tokens})


def _known_raw(content: dict[str, Any]) -> bool:
    """Whether every token is cut out of the text as it stands: what a normaliser makes is unknown anyway."""
    raw = {token["content"] for token in content["added_tokens"] if not token["normalized"]}
    return _vocabulary(content) <= raw


def _vocabulary(content: dict[str, Any]) -> set[str]:
    vocab = content["model"]["vocab"]
    return {piece for piece, _ in vocab} if isinstance(vocab, list) else set(vocab)


def _template(recipe: Recipe) -> dict[str, Any] | None:
    """A post-processor that puts around a text, or two, what the tokenizer's own does, each token twice."""
    tokenizer = opened(recipe.tokenizer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    parts: dict[str, list[Any]] = {}
    special: dict[str, Any] = {}
    for name, pair in (("single", None), ("pair", "a")):
        encoding = tokenizer.encode("a", pair)
        parts[name] = []
        last: int | None = None
        for token, id_, type_, marked, sequence in zip(
            *(encoding.tokens, encoding.ids, encoding.type_ids, encoding.special_tokens_mask, encoding.sequence_ids),
            strict=True,
        ):
            if marked:
                parts[name] += [{"SpecialToken": {"id": token, "type_id": type_}}] * 2
                special[token] = {"id": token, "ids": [id_], "tokens": [token]}
            elif (sequence or 0) != last:
                last = sequence or 0
                parts[name].append({"Sequence": {"id": "AB"[last], "type_id": type_}})
    return {"type": "TemplateProcessing", **parts, "special_tokens": special} if special else None
