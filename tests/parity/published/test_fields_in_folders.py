"""Every class of every family as the installed transformers writes it, in each of the ways that files have."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from jax_encoder import huggingface
from jax_encoder.errors import InputError
from jax_encoder.huggingface.families import FAMILIES
from jax_encoder.huggingface.family import Family
from parity.published.fields import draw_fields

CLASSES = [
    (family, type_, begins + suffix)
    for family in FAMILIES.values()
    if family.reference is None  # others have no class in transformers
    for type_, begins in zip(family.model_types, family.classes, strict=True)
    for suffix in family.heads
]


def model_of(family: Family, type_: str, name: str) -> torch.nn.Module:
    """A model of the class, its parameters drawn at random, in what bfloat16 and float16 can hold."""
    fields = draw_fields(family.name, 0) | {"model_type": type_}
    fields.pop("model_type")
    model = getattr(transformers, name)(transformers.AutoConfig.for_model(type_, **fields))
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data = torch.randint(-64, 64, parameter.shape, generator=generator) / 64
    return model


def rewritten(folder: Path, names: dict[str, str], more: dict[str, torch.Tensor]) -> None:
    """Renames the ends of tensors, and adds some."""
    tensors = load_file(folder / "model.safetensors")
    for old, new in names.items():
        tensors = {name[: -len(old)] + new if name.endswith(old) else name: one for name, one in tensors.items()}
    save_file(tensors | more, folder / "model.safetensors", {"format": "pt"})


def forms(model: torch.nn.Module, family: Family, folder: Path) -> Iterator[tuple[str, Path]]:
    """The same weights in files of other forms."""
    for dtype in (torch.bfloat16, torch.float16):
        model.to(dtype).save_pretrained(folder / str(dtype))
        yield str(dtype), folder / str(dtype)
    model.float().save_pretrained(folder / "shards", max_shard_size="9KB")
    assert (folder / "shards" / "model.safetensors.index.json").is_file()
    yield "shards", folder / "shards"
    model.save_pretrained(folder / "legacy")
    rewritten(folder / "legacy", {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}, {})
    yield "gamma and beta", folder / "legacy"
    model.save_pretrained(folder / "buffers")
    prefix = family.prefix if any(name.startswith(family.prefix) for name in model.state_dict()) else ""
    rewritten(folder / "buffers", {}, {f"{prefix}embeddings.position_ids": torch.arange(33)[None]})
    yield "a buffer of positions", folder / "buffers"


@pytest.mark.parametrize(("family", "type_", "name"), CLASSES, ids=[name for *_, name in CLASSES])
def test_default_folder_of_every_class(family, type_, name, tmp_path):
    model = model_of(family, type_, name)
    model.save_pretrained(tmp_path / "plain")
    plain = huggingface.load(tmp_path / "plain")
    assert plain.architecture == name
    for form, folder in forms(model, family, tmp_path):
        other = huggingface.load(folder)
        # What tensors say is rounded as they are.
        told = {each: getattr(plain.config, each) for each in family.told_by_tensors}
        assert dataclasses.replace(other.config, **told) == plain.config, form
        assert other.params.keys() == plain.params.keys(), form
        for key, array in plain.params.items():
            np.testing.assert_array_equal(other.params[key].astype(np.float32), array, err_msg=f"{form}: {key}")


def test_what_the_class_does_not_compute_is_refused_with_its_reason(tmp_path):
    """Not read past: a field of config.json that would change the function."""
    model_of(FAMILIES["bert"], "bert", "BertModel").save_pretrained(tmp_path)
    fields = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(fields | {"is_decoder": True, "attention_window": 7}))
    with pytest.raises(InputError) as caught:
        huggingface.load(tmp_path)
    assert "is_decoder=True: tokens would not see what follows them" in str(caught.value)
    assert "attention_window=7: not known here, may change the function" in str(caught.value)
