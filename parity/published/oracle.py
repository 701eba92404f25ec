"""transformers' own model of a family, in float64, and what it computes.

Axes: R rows as transformers is given them, U columns.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers
from torch import Tensor
from transformers.core_model_loading import revert_weight_conversion

from jax_encoder.huggingface.family import Family, Head
from parity.errors import MismatchError
from parity.published import authors
from parity.published.form import Published
from parity.published.inputs import Inputs

# Within their models tensors have other names than in their files, and are cut otherwise.
_CONVERTED = ("nomic_bert", "gte")


def build(published: Published) -> Any:
    """A model of the class, in float64 and in evaluation; within `wide`."""
    if published.family.reference is not None:
        return authors.build(published.architecture, published.fields, published.num_classes).double().eval()
    given = {name: value for name, value in published.fields.items() if name != "model_type"}
    config = transformers.AutoConfig.for_model(published.family.name, **given, num_labels=published.num_classes)
    config._attn_implementation = "eager"
    return getattr(transformers, published.architecture)(config).double().eval()


def read(published: Published, folder: Path) -> Any:
    """A model of the class, in float64 and in evaluation, as transformers reads the folder; within `wide`.

    A pooler that the folder lacks gets no gradient.

    Raises:
        MismatchError: it does not find its weights there.
    """
    cls = getattr(transformers, published.architecture)
    options: dict[str, Any] = {"dtype": torch.float64, "attn_implementation": "eager", "local_files_only": True}
    with _quiet():
        try:
            model, told = cls.from_pretrained(folder, **options, output_loading_info=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise MismatchError(f"transformers cannot read {folder}: {error}") from error
    unused = tuple(name.removeprefix(published.family.prefix) for name in published.head.unused)
    missing = {name for name in told["missing_keys"] if "pooler" not in name.split(".") and not name.endswith(unused)}
    if missing or told["mismatched_keys"]:
        raise MismatchError(
            f"in {folder} transformers misses {sorted(missing)}, and finds another shape of "
            f"{sorted(told['mismatched_keys'])}"
        )
    for name in told["missing_keys"]:
        model.get_parameter(name).requires_grad_(False)
    return model.eval()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and no word of what is missing: both are told otherwise."""
    logging = transformers.utils.logging
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def load(model: Any, tensors: Mapping[str, np.ndarray], family: Family, head: Head) -> None:
    """Gives a model its weights, all of them and no other.

    Raises:
        MismatchError: names that one side lacks, or shapes that differ.
    """
    plain = dict(model.state_dict())
    places = _places(plain)
    state = in_files(model, places, family)
    prefixed = {name if name in state else name.removeprefix(family.prefix): a for name, a in tensors.items()}
    word = family.prefix + next(row.theirs for row in family.embedding if row.ours == ("embedding.word",))
    tied = {family.tied: word} if model.config.tie_word_embeddings else {}
    for name, one in (family.duplicates | tied).items():
        name, one = (each if each in state else each.removeprefix(family.prefix) for each in (name, one))
        if name in state and one in prefixed:
            prefixed[name] = prefixed[one]
    for name in {name for unused in head.unused for name in (unused, unused.removeprefix(family.prefix))}:
        if name in plain:
            prefixed.setdefault(name, plain[name].numpy())
    missing = state.keys() - prefixed.keys()
    extra = prefixed.keys() - state.keys()
    if missing or extra:
        raise MismatchError(
            f"{type(model).__name__} has no weight for {sorted(missing)}, and none like {sorted(extra)}"
        )
    try:
        given = {name: torch.from_numpy(np.array(array)) for name, array in prefixed.items()}
        model.load_state_dict(_put(given, state, plain) if family.name in _CONVERTED else given)
    except RuntimeError as error:
        raise MismatchError(str(error)) from error


def in_files(model: Any, tensors: dict[str, Tensor], family: Family) -> dict[str, Tensor]:
    """Tensors of a model, by the names and in the pieces in which transformers writes them to a file."""
    return revert_weight_conversion(model, tensors) if family.name in _CONVERTED else tensors


def _places(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every number's own place, counted through all tensors."""
    ends = np.cumsum([tensor.numel() for tensor in tensors.values()]).tolist()
    return {
        name: torch.arange(end - tensor.numel(), end).reshape(tensor.shape)
        for end, (name, tensor) in zip(ends, tensors.items(), strict=True)
    }


def _put(given: dict[str, Tensor], places: dict[str, Tensor], plain: dict[str, Tensor]) -> dict[str, Tensor]:
    """What a file holds, by the names and in the pieces of the model."""
    numbers = torch.empty(sum(tensor.numel() for tensor in plain.values()), dtype=torch.float64)
    for name, tensor in given.items():
        numbers[places[name].flatten()] = tensor.reshape(places[name].shape).flatten()
    return {name: numbers[place.flatten()].reshape(place.shape) for name, place in _places(plain).items()}


class Values(NamedTuple):
    """What both sides compute, at tokens; None for what the class lacks or the case has no use for."""

    hidden: tuple[Any, ...]
    weights: tuple[Any, ...]
    logits: Any | None
    pooled: Any | None
    classes: Any | None
    loss: Any | None


def answer(model: Any, inputs: Inputs, published: Published) -> Values:
    """What the model computes on one case."""
    output = model(**_given(inputs, published), output_hidden_states=True, output_attentions=True)
    valid_RU = torch.from_numpy(inputs.alone.valid)
    logits, classes = _scores(output, published)
    if classes is not None and published.by_token:
        classes = classes[valid_RU]
    elif classes is not None:
        classes = _where(classes, inputs.pooled(published.parts.classifier)[0])
    pooled = output.get("pooler_output") if published.parts.pooler else None
    return Values(
        hidden=tuple(state[valid_RU] for state in output.hidden_states),
        weights=() if inputs.packed else tuple(each.transpose(1, 2)[valid_RU] for each in output.attentions),
        logits=None if logits is None else logits[valid_RU],
        pooled=None if pooled is None else _where(pooled, inputs.pooled(None)[0]),
        classes=classes,
        loss=output.get("loss"),
    )


def _where(vectors: Tensor, documents: np.ndarray) -> Tensor | None:
    """The vectors of some documents; None where there are none."""
    return vectors[documents] if len(documents) else None


def _given(inputs: Inputs, published: Published) -> dict[str, Tensor]:
    """The case by transformers' names."""
    alone, config, offset = inputs.alone, published.config, published.config.position_offset
    arrays: dict[str, Any] = {"input_ids": alone.tokens, "attention_mask": alone.valid}
    if config.position_kind == "none":
        pass  # some classes have no such argument
    elif alone.positions is not None:
        arrays["position_ids"] = alone.positions + offset
    elif offset:
        # Left to themselves, these families count the tokens that are not padding.
        arrays["position_ids"] = np.broadcast_to(np.arange(alone.tokens.shape[1]) + offset, alone.tokens.shape)
    if alone.token_types is not None and config.num_token_types:
        arrays["token_type_ids"] = alone.token_types
    arrays |= labels(inputs, published)
    return {name: torch.from_numpy(np.array(array, np.int64)) for name, array in arrays.items()}


def labels(inputs: Inputs, published: Published) -> dict[str, np.ndarray]:
    """What the class's own loss asks for; nothing where padding would enter the loss."""
    task = published.task
    if task in ("ForMaskedLM", "ForTokenClassification"):
        return {"labels": inputs.labels_RU}
    documents, _ = inputs.pooled(published.parts.classifier)
    if task == "ForSequenceClassification" and len(documents) == len(inputs.valid_BT) and not inputs.packed:
        return {"labels": inputs.classes_B}
    if task == "ForQuestionAnswering" and inputs.full:
        return dict(zip(("start_positions", "end_positions"), inputs.spans_B2.T, strict=True))
    return {}


def _scores(output: Any, published: Published) -> tuple[Tensor | None, Tensor | None]:
    """Scores of words and of classes, last axis C, whatever the class calls them."""
    if published.parts.classifier is None:
        return (output["logits"] if published.parts.head else None), None
    if "start_logits" in output:
        return None, torch.stack([output["start_logits"], output["end_logits"]], dim=-1)
    if published.parts.head:
        names = ("seq_relationship_logits", "sop_logits")
        return output["prediction_logits"], next(output[name] for name in names if name in output)
    scores = output["logits"]
    return None, scores[..., None] if published.task == "ForPreTraining" else scores
