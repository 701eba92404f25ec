"""How a folder of sentence-transformers makes one vector of a text: https://sbert.net/docs/package_reference/base

Read from modules.json and the files that it names; what is not computed here is refused.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from jax_encoder.errors import InputError
from jax_encoder.huggingface.files import read_json

MODULES, SENTENCES, TOKENIZER_CONFIG = "modules.json", "config_sentence_transformers.json", "tokenizer_config.json"
# The module Transformer's own file has had a name for each family.
TRANSFORMER_CONFIGS = tuple(
    f"sentence_{family}_config.json"
    for family in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_ORDERS = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
# The older form of a mode, in the order in which several are joined.
_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_SIZES = ("word_embedding_dimension", "embedding_dimension")
_ADVICE = "use sentence-transformers for this checkpoint"


class Pooling(NamedTuple):
    """How the vectors of a text's tokens become one.

    Attributes:
        modes: sentence-transformers' names; the vectors of several are joined end to end.
        normalize: scales the vector to length 1.
    """

    modes: tuple[str, ...]
    normalize: bool


class SentenceForm(NamedTuple):
    """What a checkpoint's folder says of whole texts.

    Attributes:
        encoder: folder of the encoder itself.
        pooling: of its output.
        max_length: tokens of a text that are read, special ones included; None says nothing.
        cut_left: whether a longer text loses its beginning instead of its end.
        lower_case: whether texts are lower-cased before the tokenizer sees them.
        prompt: stands before every text.
    """

    encoder: Path
    pooling: Pooling
    max_length: int | None
    cut_left: bool
    lower_case: bool
    prompt: str


def read_sentence_form(folder: Path) -> SentenceForm:
    """Reads what a folder says of whole texts; without modules.json that is the mean of the tokens, not normalised.

    Raises:
        InputError: a file cannot be read, or asks for what is not computed here.
    """
    if not (folder / MODULES).is_file():
        return SentenceForm(folder, Pooling(("mean",), False), *_limits(folder, {}), lower_case=False, prompt="")
    modules = _modules(folder / MODULES)
    places = [folder / path for _, path in modules]
    if len(modules) == 3:
        _check_normalize(places[2] / "config.json")
    modes, with_prompt = _pooling(places[1] / "config.json")
    own = _first(places[0] / name for name in TRANSFORMER_CONFIGS)
    return SentenceForm(
        places[0],
        Pooling(modes, len(modules) == 3),
        *_limits(places[0], own),
        lower_case=bool(own.get("do_lower_case", False)),
        prompt=_prompt(folder / SENTENCES, with_prompt),
    )


def _modules(path: Path) -> list[tuple[str, str]]:
    """Kind and place of every module."""
    try:
        listed: Any = json.loads(path.read_text(encoding="utf-8"))
        modules = [(str(module["type"]).rsplit(".", 1)[-1], str(module["path"])) for module in listed]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as a list of modules with type and path: {error!r}") from None
    kinds = [kind for kind, _ in modules]
    if kinds not in _ORDERS:
        strange = next((f"{kind} ({place})" for kind, place in modules if kind not in _ORDERS[1]), None)
        said = f"the module {strange} is not computed here" if strange else f"it lists {', '.join(kinds) or 'nothing'}"
        raise InputError(
            f"{path}: {said}; expected Transformer, Pooling and, if vectors are normalised, Normalize: {_ADVICE}"
        )
    return modules


def _pooling(path: Path) -> tuple[tuple[str, ...], bool]:
    """The modes, and whether a prompt's tokens take part."""
    values = read_json(path)
    unknown = sorted(name for name in values.keys() - {*_MODES, *_SIZES, "pooling_mode", "include_prompt"})
    if any(values[name] for name in unknown):
        raise InputError(f"{path}: {', '.join(unknown)} is not known here: {_ADVICE}")
    named = values.get("pooling_mode", [mode for name, mode in _MODES.items() if values.get(name)] or "mean")
    modes = [named] if isinstance(named, str) else named
    if not isinstance(modes, list) or not modes or not all(mode in _MODES.values() for mode in modes):
        raise InputError(f"{path}: pooling_mode must be one or several of {', '.join(_MODES.values())}, got {named!r}")
    return tuple(modes), bool(values.get("include_prompt", True))


def _check_normalize(path: Path) -> None:
    """Refuses to normalise anything but the text's vector; older checkpoints have no such file."""
    for name, value in (read_json(path) if path.is_file() else {}).items():
        if value not in (None, "sentence_embedding"):
            raise InputError(f"{path}: {name}={value!r}: only the text's own vector is normalised here: {_ADVICE}")


def _prompt(path: Path, takes_part: bool) -> str:
    """What stands before every text unless the caller of sentence-transformers says otherwise."""
    values = read_json(path) if path.is_file() else {}
    kind = values.get("model_type") or "SentenceTransformer"
    if kind != "SentenceTransformer":
        raise InputError(f"{path}: model_type {kind!r} does not give one vector for a text: {_ADVICE}")
    name, prompts = values.get("default_prompt_name"), values.get("prompts") or {}
    prompt = prompts.get(name, "") if isinstance(prompts, dict) and name is not None else ""
    if not isinstance(prompt, str) or (prompt and not takes_part):
        raise InputError(f"{path}: the prompt {prompt!r} stands before every text but is not pooled: {_ADVICE}")
    return prompt


def _limits(folder: Path, own: dict[str, Any]) -> tuple[int | None, bool]:
    """How many tokens of a text are read, and whether what is too much is cut at the left."""
    tokenizer = _first([folder / TOKENIZER_CONFIG])
    limits = {name: values.get(name) for name, values in (("max_seq_length", own), ("model_max_length", tokenizer))}
    name, limit = next(((name, limit) for name, limit in limits.items() if limit is not None), ("", None))
    # transformers writes 10^30 where nothing is known, and that as a float.
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | float) or limit < 1):
        raise InputError(f"{folder}: {name} must be a number of tokens, got {limit!r}")
    return None if limit is None else int(limit), tokenizer.get("truncation_side") == "left"


def _first(paths: Iterable[Path]) -> dict[str, Any]:
    """The content of the first file that there is."""
    return next((read_json(path) for path in paths if path.is_file()), {})
