"""Mistakes made in the libraries by their own means: settings, their tokenizer's parts, hooks on their modules."""

import json
from collections.abc import Callable
from typing import Any

from tokenizers import Tokenizer, normalizers, processors

from parity.text.library import Library, Sentences

Plant = Callable[[Library], None]


def _lower(library: Library) -> None:
    backend = library.tokenizer.backend_tokenizer
    own = [] if backend.normalizer is None else [backend.normalizer]
    backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])


def _strip(library: Library) -> None:
    backend = library.tokenizer.backend_tokenizer
    own = [] if backend.normalizer is None else [backend.normalizer]
    backend.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), *own])


def _unframe(library: Library) -> None:
    bare = processors.TemplateProcessing(single="$A", pair="$A $B:1", special_tokens=[])
    library.tokenizer.backend_tokenizer.post_processor = bare


def _frame_again(library: Library) -> None:
    """Each token around a text twice, as by a text that is framed before the tokenizer frames it."""
    tokenizer = library.tokenizer
    begin, end = tokenizer.cls_token or tokenizer.bos_token, tokenizer.sep_token or tokenizer.eos_token
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} {begin} $A {end} {end}",
        pair=f"{begin} {begin} $A {end} {end} $B:1 {end}:1 {end}:1",
        special_tokens=[(token, tokenizer.convert_tokens_to_ids(token)) for token in (begin, end)],
    )


def _keep_space(library: Library) -> None:
    assert library.content is not None, "it is planted in tokenizers that have one"
    content = json.loads(library.content)
    content["added_tokens"] = [token | {"lstrip": False} for token in content["added_tokens"]]
    library.tokenizer._tokenizer = Tokenizer.from_str(json.dumps(content))


def _limit(library: Library) -> None:
    library.tokenizer.model_max_length -= library.tokenizer.num_special_tokens_to_add()


def _longest(library: Library) -> None:
    """All that the encoder has positions for."""
    library.tokenizer.model_max_length = library.possible


def _cut(library: Library) -> None:
    library.tokenizer.truncation_side = {"left": "right", "right": "left"}[library.tokenizer.truncation_side]


def _pad(library: Library) -> None:
    library.tokenizer.padding_side = {"left": "right", "right": "left"}[library.tokenizer.padding_side]


def _flatten(library: Library) -> None:
    """What the tokenizer calls the second text's type never comes to the encoder."""
    library.tokenizer.model_input_names = ["input_ids", "attention_mask"]


def _prompt(times: int) -> Plant:
    def plant(library: Library) -> None:
        model = _model(library)
        model.prompts[model.default_prompt_name] *= times

    return plant


def _own_only(library: Library) -> None:
    """Hides the tokens around a text from the pooling."""
    model = _model(library)
    model[0].processing_kwargs = {"text": {"return_special_tokens_mask": True}}

    def hide(module: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        (features,) = given
        return ({**features, "attention_mask": features["attention_mask"] * (1 - features["special_tokens_mask"])},)

    model[1].register_forward_pre_hook(hide)


def _unscaled(library: Library) -> None:
    del _model(library)[-1]


def _cut_first(library: Library) -> None:
    model = _model(library)

    def cut(module: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        (features,) = given
        return ({**features, "sentence_embedding": features["sentence_embedding"][:, : model.truncate_dim]},)

    model[-1].register_forward_pre_hook(cut)


def _model(library: Library) -> Any:
    assert isinstance(library.pipeline, Sentences), "prompts and vectors are sentence-transformers'"
    return library.pipeline.model


PLANTS: dict[str, Plant] = {
    "text-lower-cased": _lower,
    "text-accents-stripped": _strip,
    "text-no-frame": _unframe,
    "text-frame-twice": _frame_again,
    "text-space-before-mask": _keep_space,
    "text-limit-special": _limit,
    "text-limit-other": _longest,
    "text-cut-other-side": _cut,
    "text-pad-side": _pad,
    "text-types-flat": _flatten,
    "text-prompt-missing": _prompt(0),
    "text-prompt-doubled": _prompt(2),
    "text-pooling-special": _own_only,
    "text-not-normalised": _unscaled,
    "text-cut-order": _cut_first,
}
