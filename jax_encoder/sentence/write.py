"""sentence-transformers' files of a folder, written."""

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as safetensors

from jax_encoder.data.files import written_whole
from jax_encoder.errors import InputError
from jax_encoder.huggingface import Checkpoint, save
from jax_encoder.huggingface.beside import MODULES, SENTENCES, TRANSFORMER_CONFIGS, of_module
from jax_encoder.sentence.form import SentenceForm
from jax_encoder.sentence.modules import Dense, LayerNorm, Module, Normalize, Pooling, WeightedLayerPooling
from jax_encoder.sentence.static import Table

_CLASSES = "sentence_transformers.models"


def write_sentence_form(form: SentenceForm, source: Checkpoint | Table, folder: Path) -> None:
    """Writes what a text's vector is made with: encoder or table in the folder itself, a folder for each module.

    Raises:
        InputError: as `jax_encoder.huggingface.save`.
    """
    first = "StaticEmbedding" if isinstance(source, Table) else "Transformer"
    places = [("", first)] + [
        (f"{n}_{type(one).__name__}", type(one).__name__) for n, one in enumerate(form.modules, 1)
    ]
    modules = [
        {"idx": number, "name": str(number), "path": place, "type": f"{_CLASSES}.{kind}"}
        for number, (place, kind) in enumerate(places)
    ]
    files = {MODULES: _json(modules), SENTENCES: _json(_sentences(form))}
    width = source.vectors.shape[1] if isinstance(source, Table) else source.config.embed_dim
    for (place, _), module in zip(places[1:], form.modules, strict=True):
        fields, tensors = _written(module, width)
        width = module.width(width)
        files[f"{place}/config.json"] = _json(fields)
        if tensors:
            files[f"{place}/model.safetensors"] = _bytes(tensors)
    if isinstance(source, Table):
        table = {"model.safetensors": _bytes({"embedding.weight": source.vectors})}
        _write(table | {"tokenizer.json": source.tokenizer.to_str().encode()} | files, folder)
        return
    own: dict[str, Any] = {"do_lower_case": form.lower_case}
    if form.max_length is not None:
        own = {"max_seq_length": min(form.max_length, source.config.max_len)} | own
    files[TRANSFORMER_CONFIGS[0]] = _json(own)
    replaced = (MODULES, SENTENCES, *TRANSFORMER_CONFIGS)
    kept = {name: content for name, content in source.beside.items() if name not in replaced and not of_module(name)}
    save(dataclasses.replace(source, beside=kept | files), folder)


def _sentences(form: SentenceForm) -> dict[str, Any]:
    fields = {
        "prompts": dict(form.prompts),
        "default_prompt_name": form.default_prompt,
        "similarity_fn_name": form.similarity,
    }
    return fields if form.truncate_dim is None else fields | {"truncate_dim": form.truncate_dim}


def _written(module: Module, width: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A module's config.json and tensors, given the width of what it reads."""
    match module:
        case Pooling():
            fields = {
                "word_embedding_dimension": width,
                "pooling_mode": list(module.modes),
                "include_prompt": module.include_prompt,
            }
            return fields, {}
        case Dense():
            tensors = {"linear.weight": np.asarray(module.kernel).T}
            if module.bias is not None:
                tensors["linear.bias"] = np.asarray(module.bias)
            if module.residual is not None:
                tensors["residual.weight"] = np.asarray(module.residual).T
            return _dense(module), tensors
        case LayerNorm():
            tensors = {"norm.weight": np.asarray(module.scale), "norm.bias": np.asarray(module.bias)}
            return {"dimension": len(module.scale)}, tensors
        case Normalize():
            named = {"module_input_name": module.reads, "module_output_name": module.writes}
            return named, {}
        case WeightedLayerPooling():
            fields = {
                "word_embedding_dimension": width,
                "layer_start": module.start,
                "num_hidden_layers": len(module.weights) + module.start - 1,
            }
            return fields, {"layer_weights": np.asarray(module.weights)}


def _dense(module: Dense) -> dict[str, Any]:
    package = "torch.nn.modules.linear" if module.activation == "Identity" else "torch.nn.modules.activation"
    fields = {
        "in_features": module.kernel.shape[0],
        "out_features": module.kernel.shape[1],
        "bias": module.bias is not None,
        "activation_function": f"{package}.{module.activation}",
        "module_input_name": module.reads,
        "module_output_name": module.writes,
    }
    return fields | ({"use_residual": True} if module.adds_input else {})


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


def _bytes(tensors: Mapping[str, np.ndarray]) -> bytes:
    return safetensors({name: np.ascontiguousarray(array) for name, array in tensors.items()}, {"format": "pt"})


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    """Writes all files, or none."""
    try:
        with contextlib.ExitStack() as written:
            for name, content in files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                written.enter_context(written_whole(folder / name)).write_bytes(content)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}") from None
