"""sentence-transformers' files of a folder: https://sbert.net/docs/package_reference/base

Every field is used, known to change nothing, or refused by its name; every module is supported, or refused by its name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jax_encoder.errors import InputError
from jax_encoder.huggingface.beside import MODULES, SENTENCES, TRANSFORMER_CONFIGS
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.files import inside, read_any_json, read_json_if_there
from jax_encoder.huggingface.reading import tokenizer_config
from jax_encoder.sentence.form import SentenceForm
from jax_encoder.sentence.modules import WeightedLayerPooling
from jax_encoder.sentence.readers import READERS
from jax_encoder.sentence.router import Entry, routed
from jax_encoder.sentence.similarity import SIMILARITIES

_FRONTS = ("Transformer", "StaticEmbedding")
_ROUTERS = ("Router", "Asym")
_PLAIN = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
# What other values of fields of the module Transformer would do.
_TRANSFORMER: dict[str, tuple[tuple[Any, ...], str]] = {
    "transformer_task": (("feature-extraction",), "another class would be computed"),
    "modality_config": ((_PLAIN, None), "texts would be fed in another form"),
    "module_output_name": (("token_embeddings", None), "the output would have another name"),
    "processing_kwargs": (({}, None), "texts would be read otherwise"),
    "query_expansion": ((None,), "questions would be filled up with mask tokens"),
    "query_length": ((None,), "questions would be cut elsewhere"),
    "document_length": ((None,), "documents would be cut elsewhere"),
    "tokenizer_name_or_path": ((None,), "another folder's tokenizer would be read"),
    "config_args": (({}, None), "config.json would be overruled"),
    "config_kwargs": (({}, None), "config.json would be overruled"),
}
# Of loading; they decide how fast and how exact the other library computes.
_MODEL_OPTIONS = ("torch_dtype", "dtype", "attn_implementation", "device_map", "low_cpu_mem_usage", "use_safetensors")
_TOKENIZER_OPTIONS = ("use_fast", "padding_side", "clean_up_tokenization_spaces")


def read_sentence_form(folder: Path, *, task: str | None = None, allow_pickle: bool = False) -> SentenceForm:
    """Reads what a folder says of whole texts; without modules.json that is the mean of the tokens, not normalised.

    Args:
        folder: of the checkpoint.
        task: which of several routes to take, where the folder has them; None takes the default one.
        allow_pickle: reads pickled weights of modules, where there are no others.

    Raises:
        InputError: a file cannot be read, asks for what is not computed here, or lies outside of the folder.
    """
    if not (folder / MODULES).is_file():
        if task is not None:
            raise InputError(f"{folder} has no {MODULES}, and so no route for the task {task!r}")
        return _with_limits(SentenceForm(folder), {}, {})
    listed = _entries(folder)
    if task is not None and not any(entry.kind in _ROUTERS for entry in listed):
        raise InputError(f"{folder / MODULES} has no Router, and so no route for the task {task!r}")
    entries = [one for entry in listed for one in (routed(entry, folder, task) if entry.kind in _ROUTERS else [entry])]
    _check_known(entries, folder / MODULES)
    read = (READERS[entry.kind](entry.place, allow_pickle) for entry in entries[1:])
    modules = [module for module in read if module is not None]
    place, static = entries[0].place, entries[0].kind == "StaticEmbedding"
    if not read_json_if_there(place / "config.json").get("output_hidden_states"):
        # Only then does the other library hand on what the layers made; without it the module does nothing.
        modules = [module for module in modules if not isinstance(module, WeightedLayerPooling)]
    form = SentenceForm(place, tuple(modules), static=static)
    form = _with_sentences(form, folder / SENTENCES)
    return form if static else _with_transformer(form, place)


def _entries(folder: Path) -> list[Entry]:
    """The modules in their order."""
    path = folder / MODULES
    listed = read_any_json(path)
    try:
        found = [(str(one["type"]), str(one["path"])) for one in listed]
        strange = sorted({name for one in listed for name in one.keys() - {"idx", "name", "path", "type", "kwargs"}})
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} cannot be read as a list of modules with type and path: {error!r}") from None
    if strange:
        raise InputError(
            f"{path}: {', '.join(strange)} is not known here: use sentence-transformers for this checkpoint"
        )
    return [Entry.of(type_, inside(folder, place, path), path) for type_, place in found]


def _check_known(entries: list[Entry], path: Path) -> None:
    """Refuses modules that are not computed here, and a first one that reads no texts."""
    if not entries or entries[0].kind not in _FRONTS:
        said = entries[0].kind if entries else "nothing"
        raise InputError(f"{path}: the first module must be one of {', '.join(_FRONTS)}, got {said}")
    for entry in entries[1:]:
        if entry.kind not in READERS:
            known = ", ".join((*_FRONTS, *READERS, *_ROUTERS))
            raise InputError(
                f"{path}: the module {entry.kind} ({entry.place.name}) is not computed here; known are {known}: use "
                "sentence-transformers for this checkpoint"
            )


def _with_sentences(form: SentenceForm, path: Path) -> SentenceForm:
    """What config_sentence_transformers.json adds: prompts, truncation, similarity."""
    fields = Fields(read_json_if_there(path), str(path), frozenset(("__version__", "requirements")))
    kind = fields.take("model_type", None) or "SentenceTransformer"
    if kind != "SentenceTransformer":
        fields.refuse(f"model_type={kind!r}: does not give one vector for a text")
    prompts = {name: "" if text is None else text for name, text in fields.table("prompts").items()}
    if not all(isinstance(text, str) for text in prompts.values()):
        fields.refuse("prompts: must be texts")
    default = fields.take("default_prompt_name", None)
    prompts = {"query": "", "document": ""} | prompts
    if default is not None and default not in prompts:
        fields.refuse(f"default_prompt_name={default!r}: must be one of {', '.join(map(repr, prompts))}")
    dim = fields.number_or_null("truncate_dim", 0) or None
    similarity = fields.choose("similarity_fn_name", None, {None: "cosine"} | {name: name for name in SIMILARITIES})
    fields.finish()
    return form._replace(prompts=prompts, default_prompt=default, truncate_dim=dim, similarity=similarity)


def _with_transformer(form: SentenceForm, folder: Path) -> SentenceForm:
    """What the module Transformer's own file adds: limits and lower case."""
    path = next((folder / name for name in TRANSFORMER_CONFIGS if (folder / name).is_file()), None)
    if path is None:
        return _with_limits(form, {}, {})
    fields = Fields(read_any_json(path), str(path), frozenset(("unpad_inputs",)))
    fields.must(_TRANSFORMER)
    given: dict[str, Any] = {}
    for name in ("tokenizer_args", "processor_kwargs"):
        given |= {key: value for key, value in fields.table(name).items() if key not in _TOKENIZER_OPTIONS}
    for key in given.keys() - {"model_max_length", "trust_remote_code"}:
        fields.refuse(f"tokenizer_args or processor_kwargs with {key!r}: the tokenizer would be another")
    for name in ("model_args", "model_kwargs"):
        for key in fields.table(name).keys() - {*_MODEL_OPTIONS, "trust_remote_code"}:
            fields.refuse(f"{name} with {key!r}: the model would be another")
    own = {"max_seq_length": fields.take("max_seq_length", None)}
    lower = fields.choose("do_lower_case", False, {False: False, True: True, None: False})
    fields.finish()
    return _with_limits(form._replace(lower_case=lower), given, own)


def _with_limits(form: SentenceForm, given: Mapping[str, Any], own: Mapping[str, Any]) -> SentenceForm:
    """How many tokens of a text are read, and which end of a longer one is lost: what is given for the tokenizer wins
    over the module's own limit, and that over tokenizer_config.json."""
    config = tokenizer_config(form.encoder)
    named = config.get("model_max_length", config.get("max_len"))
    limits = [("model_max_length", given.get("model_max_length")), *own.items(), ("model_max_length", named)]
    name, limit = next(((name, limit) for name, limit in limits if limit is not None), ("", None))
    # transformers writes 10^30 where nothing is known, and that as a float.
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | float) or limit < 1):
        raise InputError(f"{form.encoder}: {name} must be a number of tokens, got {limit!r}")
    side = config.get("truncation_side")
    return form._replace(
        max_length=None if limit is None else int(limit), cut_left=None if side is None else side == "left"
    )
