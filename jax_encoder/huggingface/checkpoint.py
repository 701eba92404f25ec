"""A published checkpoint, as we hold it: read from a folder or a hub, and written to one."""

import contextlib
import dataclasses
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike
from tokenizers import Tokenizer

from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from jax_encoder.data.files import written_whole
from jax_encoder.errors import InputError, ReadingWarning
from jax_encoder.huggingface.beside import read_beside
from jax_encoder.huggingface.carry import NEW, Form, carry_in, carry_out
from jax_encoder.huggingface.families import FAMILIES
from jax_encoder.huggingface.family import Family, Head
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.files import read_json
from jax_encoder.huggingface.hub import folder_of
from jax_encoder.huggingface.reading import TOKENIZER, Reading, read_tokenizer
from jax_encoder.huggingface.tensors import SINGLE, read_tensors, write_tensors
from jax_encoder.model import Model, Parts
from jax_encoder.params import Named

CONFIG = "config.json"


@dataclasses.dataclass(frozen=True, eq=False)
class Checkpoint:
    """An encoder with what stands on it.

    Attributes:
        config: of the encoder.
        parts: what stands on it.
        params: by our names, in the file's dtypes.
        family: by its name.
        architecture: transformers' class.
        fields: config.json as it was read, or is to be written.
        tokenizer: reads texts as transformers' class does, but for the `notes`; None where there is none.
        beside: name -> content of the files that tell other libraries how to use it.
        form: how the file's names differ from the family's.
        folder: where it was read; None for a new one.
        notes: what transformers and sentence-transformers will read otherwise, a sentence each.
    """

    config: EncoderConfig
    parts: Parts
    params: Named
    family: str
    architecture: str
    fields: Mapping[str, Any]
    tokenizer: Tokenizer | None
    beside: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    form: Form = NEW
    folder: Path | None = None
    notes: tuple[str, ...] = ()

    def model(self, *, dtype: DTypeLike = jnp.float32, param_dtype: DTypeLike = jnp.float32) -> Model:
        """The model, ready to run."""
        return Model.of(self.config, self.parts, self.params, dtype=dtype, param_dtype=param_dtype)


def load(name: str | Path, *, allow_pickle: bool = False) -> Checkpoint:
    """Reads a published checkpoint.

    Args:
        name: a folder with config.json, safetensors and tokenizer.json; or a name on the Hugging Face hub, where
            huggingface_hub is installed.
        allow_pickle: reads pickled weights, where there are no others, through torch's reader of weights only.

    Raises:
        InputError: something is missing, damaged, or would be computed differently here; all of it is listed.

    Warns:
        ReadingWarning: transformers would read texts otherwise than the folder's tokenizer.json says.
    """
    folder = folder_of(name, allow_pickle=allow_pickle)
    values = read_json(folder / CONFIG)
    fields = Fields(values, str(folder / CONFIG))
    family, model_type = _family(values, folder)
    architecture, head = _head(fields, family, model_type)
    config, classes = _read(fields, family, head)
    fields.finish()
    assert config is not None, "finish raises where the config could not be made"
    parts = Parts(head=any(row.ours[0].startswith("head.") for row in head.rows), pooler=False, classifier=classes)
    tensors = read_tensors(folder, allow_pickle=allow_pickle)
    config = family.amended(config, tensors)
    carried = carry_in(tensors, family, config, head, parts, f"{folder}, taken for a {architecture},")
    reading = read_tokenizer(folder, values)
    beside = read_beside(folder, vocabularies=reading is None)
    tokenizer, notes = (None, ()) if reading is None else (reading.tokenizer, _notes(reading, config, folder))
    for note in notes:
        warnings.warn(note, ReadingWarning, stacklevel=2)
    return Checkpoint(
        *(config, carried.parts, carried.params, family.name, architecture, values, tokenizer, beside),
        form=carried.form,
        folder=folder,
        notes=notes,
    )


def save(checkpoint: Checkpoint, folder: Path) -> None:
    """Writes config.json, weights, the tokenizer if there is one, and what stood beside; all of it, or nothing.

    A checkpoint that was read and not changed is written tensor for tensor as it was; only layers of one kind whose
    dtypes differed have one now. In config.json, the dtype is that of the weights.

    Raises:
        InputError: the family cannot express the encoder, or the class what stands on it: what is lacking is listed;
            or the folder cannot be written.
    """
    family = FAMILIES[checkpoint.family]
    fields, head = _written(checkpoint, family)
    tensors = carry_out(checkpoint.params, family, checkpoint.config, head, checkpoint.parts, checkpoint.form)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Last in, first out: everything is on the disk before any of it has its name, and config.json is named last.
        with contextlib.ExitStack() as files:
            for name, content in _texts(checkpoint, fields).items():
                (folder / name).parent.mkdir(exist_ok=True)
                files.enter_context(written_whole(folder / name)).write_bytes(content)
            write_tensors(tensors, files.enter_context(written_whole(folder / SINGLE)))
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}") from None


def _texts(checkpoint: Checkpoint, fields: Mapping[str, Any]) -> dict[str, bytes]:
    """All files but the weights."""
    files = {CONFIG: (json.dumps(fields, indent=2) + "\n").encode(), **checkpoint.beside}
    if checkpoint.tokenizer is not None:
        files[TOKENIZER] = checkpoint.tokenizer.to_str(pretty=True).encode()
    return files


def expressed(config: EncoderConfig, family: Family, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of config.json that say what an encoder is, on top of those `given`.

    Raises:
        InputError: the family lacks something; it is listed.
    """
    if given and not _differing(config, family, given):
        return dict(given)
    lacking = differences(config, family)
    if not lacking:
        fields = {"model_type": family.model_types[0], **given, **family.write(config)}
        lacking = _differing(config, family, fields)
    if lacking:
        raise InputError("\n  ".join([f"{family.name} cannot express this encoder:", *lacking]))
    return fields


def differences(config: EncoderConfig, family: Family) -> list[str]:
    """What of an encoder a family cannot express."""
    return _differing(config, family, family.write(config))


def family_for(config: EncoderConfig) -> Family:
    """The first family that can express an encoder.

    Raises:
        InputError: none can; what each lacks is listed.
    """
    lacking = {name: differences(config, family) for name, family in FAMILIES.items()}
    for name, found in lacking.items():
        if not found:
            return FAMILIES[name]
    said = [f"{name}: {'; '.join(found[:3])}{' ...' if found[3:] else ''}" for name, found in lacking.items()]
    raise InputError("\n  ".join(["no published family has an encoder like this:", *said]))


# Of training or of our program, not of the function.
_NOT_FUNCTION = {"scan_layers", "init_std"}


def _differing(config: EncoderConfig, family: Family, values: Mapping[str, Any]) -> list[str]:
    """How an encoder differs from what fields say."""
    fields = Fields(values, family.name)
    read, _ = _read(fields, family, None)
    if problems := fields.problems():
        return problems
    apart = _NOT_FUNCTION.union(family.told_by_tensors)
    names = [field.name for field in dataclasses.fields(config) if field.name not in apart]
    return [
        f"{name}={getattr(config, name)!r}, where the family has {getattr(read, name)!r}"
        for name in names
        if getattr(config, name) != getattr(read, name)
    ]


def _read(fields: Fields, family: Family, head: Head | None) -> tuple[EncoderConfig | None, ClassifierConfig | None]:
    """The encoder and, where the head has one, its classifier; None where `fields` has a problem to tell."""
    try:
        config = family.read(fields)
        if head is None or head.classes is None:
            return config, None
        return config, head.classes(fields, head.num_classes or _num_classes(fields))
    except ValueError as error:  # the configs' own checks, in their own words
        fields.refuse(str(error))
        return None, None


def _written(checkpoint: Checkpoint, family: Family) -> tuple[dict[str, Any], Head]:
    """All of config.json, and the class's head."""
    architecture, classifier = checkpoint.architecture, checkpoint.parts.classifier
    types = {begins + suffix: type_ for type_, begins in _classes(family) for suffix in family.heads}
    model_type = checkpoint.fields.get("model_type", types.get(architecture))
    if architecture not in types or types[architecture] != model_type:
        known = ", ".join(name for name, type_ in types.items() if type_ == model_type)
        raise InputError(f"the class must be one of {known or ', '.join(types)}, got {architecture!r}")
    fields = expressed(checkpoint.config, family, checkpoint.fields) | {"model_type": model_type}
    begins = next(begins for type_, begins in _classes(family) if type_ == model_type)
    head = family.heads[architecture.removeprefix(begins)]
    fields["architectures"] = [architecture]
    dtypes = {str(array.dtype) for array in checkpoint.params.values()}
    if len(dtypes) == 1:
        fields["torch_dtype" if "torch_dtype" in fields else "dtype"] = dtypes.pop()
    reading = Fields(fields, architecture)
    if classifier is not None and head.num_classes is None and _num_classes(reading) != classifier.num_classes:
        fields.pop("num_labels", None)
        fields["id2label"] = {str(label): f"LABEL_{label}" for label in range(classifier.num_classes)}
        fields["label2id"] = {name: int(label) for label, name in fields["id2label"].items()}
    _, classes = _read(Fields(fields, architecture), family, head)
    if classes != classifier:
        raise InputError(f"{architecture} has classifier {classes}, got {classifier}")
    return fields, head


def _classes(family: Family) -> list[tuple[str, str]]:
    """Model types and how transformers' classes of each begin."""
    return list(zip(family.model_types, family.classes, strict=True))


def _family(values: Mapping[str, Any], folder: Path) -> tuple[Family, str]:
    model_type, named = values.get("model_type"), values.get("architectures")
    having = [family for family in FAMILIES.values() if model_type in family.model_types]
    for family in having:
        begins = dict(_classes(family))[str(model_type)]
        if named in [[begins + suffix] for suffix in family.heads]:
            return family, str(model_type)
    if having:
        return having[0], str(model_type)
    known = ", ".join(dict.fromkeys(name for family in FAMILIES.values() for name in family.model_types))
    raise InputError(f"{folder / CONFIG}: model_type must be one of {known}, got {model_type!r}")


def _head(fields: Fields, family: Family, model_type: str) -> tuple[str, Head]:
    """The class that the weights are of; without a word of it, the bare encoder."""
    begins = dict(_classes(family))[model_type]
    named = fields.take("architectures", None)
    bare = next(iter(family.heads))
    if named is None or named == []:
        return begins + bare, family.heads[bare]
    for suffix, head in family.heads.items():
        if named == [begins + suffix]:
            return begins + suffix, head
    known = ", ".join(begins + suffix for suffix in family.heads)
    fields.refuse(f"architectures={named!r}: only one of {known} can be computed here")
    return begins + bare, family.heads[bare]


def _num_classes(fields: Fields) -> int:
    """As transformers counts them; it takes two where nothing is said."""
    labels = fields.table("id2label")
    count = fields.number_or_null("num_labels", len(labels) or 2)
    if labels and count != len(labels):
        fields.refuse(f"num_labels={count}, but id2label names {len(labels)}")
    return count


def _notes(reading: Reading, config: EncoderConfig, folder: Path) -> tuple[str, ...]:
    """What transformers reads otherwise; for padding, that depends on how the encoder counts positions."""
    counted = config.position_kind in ("learned", "sinusoidal") and not config.position_offset
    if not (reading.pads_left and counted):
        return reading.notes
    return (
        *reading.notes,
        f"{folder}: the tokenizer pads on the left, and transformers counts padding as positions: there, a text's "
        "vector depends on the longest text beside it; here, each is computed as if alone",
    )
