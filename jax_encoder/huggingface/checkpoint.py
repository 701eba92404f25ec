"""A published checkpoint, as we hold it: read from a folder or a hub, and written to one."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike
from tokenizers import Tokenizer

from jax_encoder.config import EncoderConfig
from jax_encoder.data.files import written_whole
from jax_encoder.errors import InputError
from jax_encoder.huggingface.carry import NEW, Form, carry_in, carry_out
from jax_encoder.huggingface.families import FAMILIES
from jax_encoder.huggingface.family import Family, Head
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.tensors import SINGLE, read_json, read_tensors, write_tensors
from jax_encoder.model import Model, Params, Parts

CONFIG, TOKENIZER = "config.json", "tokenizer.json"
# What belongs to a checkpoint besides its weights.
_WANTED = ("*.json", "*.safetensors", "1_Pooling/*", "*.txt")


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
        tokenizer: as it was read; None where there is none.
        form: how the file's names differ from the family's.
        folder: where it was read; None for a new one.
    """

    config: EncoderConfig
    parts: Parts
    params: Params
    family: str
    architecture: str
    fields: Mapping[str, Any]
    tokenizer: Tokenizer | None
    form: Form = NEW
    folder: Path | None = None

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
    """
    folder = _folder(name)
    values = read_json(folder / CONFIG)
    family, model_type = _family(values, folder)
    architecture, head = _head(values, family, model_type, folder)
    fields = Fields(values, str(folder / CONFIG))
    try:
        config = family.read(fields)
        classes = None if head.classes is None else head.classes(fields, head.num_classes or _num_classes(values))
        fields.finish()
    except (ValueError, TypeError) as error:
        raise error if isinstance(error, InputError) else InputError(f"{folder / CONFIG}: {error}") from None
    parts = Parts(head=any(row.ours[0].startswith("head.") for row in head.rows), pooler=False, classifier=classes)
    tensors = read_tensors(folder, allow_pickle=allow_pickle)
    carried = carry_in(tensors, family, config, head, parts, str(folder))
    tokenizer = _tokenizer(folder / TOKENIZER)
    return Checkpoint(
        *(config, carried.parts, carried.params, family.name, architecture, values, tokenizer, carried.form, folder)
    )


def save(checkpoint: Checkpoint, folder: Path) -> None:
    """Writes config.json, model.safetensors and, if there is one, tokenizer.json; each whole or not at all.

    A checkpoint that was read and not changed is written tensor for tensor as it was.

    Raises:
        InputError: the family cannot express the encoder; what it lacks is listed.
    """
    family = FAMILIES[checkpoint.family]
    fields = expressed(checkpoint.config, family, checkpoint.fields)
    head = family.heads[_suffix(checkpoint.architecture, family)]
    tensors = carry_out(checkpoint.params, family, checkpoint.config, head, checkpoint.parts, checkpoint.form)
    dtypes = {str(array.dtype) for array in checkpoint.params.values()}
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(tensors, folder / SINGLE)
    if checkpoint.tokenizer is not None:
        with written_whole(folder / TOKENIZER) as temporary:
            temporary.write_text(checkpoint.tokenizer.to_str(pretty=True), encoding="utf-8")
    if "dtype" not in fields and "torch_dtype" not in fields and len(dtypes) == 1:
        fields["dtype"] = dtypes.pop()
    fields["architectures"] = [checkpoint.architecture]
    with written_whole(folder / CONFIG) as temporary:
        temporary.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


def expressed(config: EncoderConfig, family: Family, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of config.json that say what an encoder is, on top of those `given`.

    Raises:
        InputError: the family lacks something; it is listed.
    """
    lacking = differences(config, family)
    if lacking:
        raise InputError("\n  ".join([f"{family.name} cannot express this encoder:", *lacking]))
    if given and not _differing(config, family, given):
        return dict(given)
    return {"model_type": family.model_types[0], **given, **family.write(config)}


def differences(config: EncoderConfig, family: Family) -> list[str]:
    """What of an encoder a family cannot express."""
    try:
        written = family.write(config)
    except (KeyError, IndexError, TypeError) as error:
        return [f"a field without a meaning there: {error}"]
    return _differing(config, family, written)


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


def _differing(config: EncoderConfig, family: Family, fields: Mapping[str, Any]) -> list[str]:
    """How an encoder differs from what fields say."""
    reading = Fields(fields, family.name)
    try:
        read = family.read(reading)
        reading.finish()
    except ValueError as error:
        return [str(error).splitlines()[-1].strip() if isinstance(error, InputError) else str(error)]
    names = [field.name for field in dataclasses.fields(config) if field.name not in _NOT_FUNCTION]
    return [
        f"{name}={getattr(config, name)!r}, where the family has {getattr(read, name)!r}"
        for name in names
        if getattr(config, name) != getattr(read, name)
    ]


def _folder(name: str | Path) -> Path:
    if Path(name).is_dir():
        return Path(name)
    if isinstance(name, Path) or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise InputError(f"{name} is not a folder: name one with config.json and weights")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError:
        raise InputError(
            f"{name} is not a folder here, and names on the hub need huggingface_hub: pip install huggingface_hub"
        ) from None
    try:
        return Path(snapshot_download(name, allow_patterns=list(_WANTED)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"{name} is not a folder here, and could not be fetched from the hub: {str(error).splitlines()[0]}"
        ) from None


def _family(values: Mapping[str, Any], folder: Path) -> tuple[Family, str]:
    model_type = values.get("model_type")
    for family in FAMILIES.values():
        if model_type in family.model_types:
            return family, str(model_type)
    known = ", ".join(name for family in FAMILIES.values() for name in family.model_types)
    raise InputError(f"{folder / CONFIG}: model_type must be one of {known}, got {model_type!r}")


def _head(values: Mapping[str, Any], family: Family, model_type: str, folder: Path) -> tuple[str, Head]:
    """The class that the weights are of; without a word of it, the bare encoder."""
    begins = family.classes[family.model_types.index(model_type)]
    named = values.get("architectures") or [begins + "Model"]
    architecture = named[0] if isinstance(named, list) and len(named) == 1 else None
    if not isinstance(architecture, str) or architecture.removeprefix(begins) not in family.heads:
        known = ", ".join(begins + suffix for suffix in family.heads)
        raise InputError(f"{folder / CONFIG}: architectures must name one of {known}, got {named!r}")
    return architecture, family.heads[architecture.removeprefix(begins)]


def _suffix(architecture: str, family: Family) -> str:
    begins = max((one for one in family.classes if architecture.startswith(one)), key=len)
    return architecture.removeprefix(begins)


def _num_classes(values: Mapping[str, Any]) -> int:
    labels = values.get("id2label")
    count = len(labels) if isinstance(labels, dict) and labels else values.get("num_labels", 2)
    if not isinstance(count, int) or count < 1:
        raise InputError(f"id2label or num_labels must say how many classes there are, got {count!r}")
    return count


def _tokenizer(path: Path) -> Tokenizer | None:
    if not path.is_file():
        return None
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # the library raises nothing narrower
        raise InputError(f"{path} is not a tokenizer.json of Hugging Face tokenizers: {error}") from None
