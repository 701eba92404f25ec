"""A checkpoint small enough to be made anew in every test: random parameters, and a tokenizer trained on a page."""

import dataclasses
import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from jax_encoder.config import EncoderConfig
from jax_encoder.data.tokenizer_form import TokenizerForm
from jax_encoder.data.tokenizer_training import train_tokenizer
from jax_encoder.huggingface import Checkpoint, save
from jax_encoder.model import Parts, shapes_of
from jax_encoder.sentence.form import SentenceForm
from tests.jax_encoder.training.helpers import SENTENCES

TOKENIZER = train_tokenizer(SENTENCES, TokenizerForm("wordpiece"), vocab_size=120)
CONFIG = dataclasses.replace(
    EncoderConfig.minilm_l6(),
    vocab_size=TOKENIZER.get_vocab_size(),
    max_len=150,
    embed_dim=24,
    num_heads=3,
    num_key_value_heads=3,
    head_dim=8,
    mlp_dim=40,
    num_layers=2,
    layer_groups=(0, 1),
    windows=(None, None),
)
MEAN = SentenceForm(Path("made up"))


def checkpoint(config: EncoderConfig = CONFIG, *, head: bool = False) -> Checkpoint:
    """A checkpoint that was never a file; the tokenizer cuts and pads, as published ones do."""
    rng = np.random.default_rng(0)
    parts = Parts(head=head, pooler=False, classifier=None)
    params = {name: 0.5 * rng.standard_normal(shape) for name, shape in shapes_of(config, parts).items()}
    params = {name: array.astype(np.float32) for name, array in params.items()}
    tokenizer = Tokenizer.from_str(TOKENIZER.to_str())
    tokenizer.enable_truncation(7)
    tokenizer.enable_padding(length=7)
    return Checkpoint(config, parts, params, "bert", "BertForMaskedLM" if head else "BertModel", {}, tokenizer)


def write_json(path: Path, content: object) -> None:
    """Writes a file, and the folder that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_checkpoint(folder: Path, *, head: bool = False) -> Path:
    """Writes a bare checkpoint, as transformers has them; returns its folder."""
    save(checkpoint(head=head), folder)
    return folder


def write_modules(folder: Path, *kinds: str) -> None:
    """Writes modules.json as sentence-transformers did until version 5."""
    places = ["" if kind == "Transformer" else f"{index}_{kind}" for index, kind in enumerate(kinds)]
    modules = [
        {"idx": index, "name": str(index), "path": place, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, place) in enumerate(zip(kinds, places, strict=True))
    ]
    write_json(folder / "modules.json", modules)
