"""Folders as strangers have them: a BERT or RoBERTa of random numbers, with a tokenizer that lacks this or that."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [
    *("the", "a", "Paris", "paris", "is", "of", "capital", "france", "river", "long", "city", "on", "in", "and", "["),
    *("]", "mask", ".", ",", "cafe"),
]
FAST = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "model_max_length": 512,
    **{role + "_token": f"[{role.upper()}]" for role in ("pad", "unk", "cls", "sep", "mask")},
}
_CLASSES = "sentence_transformers.models."


def wordpiece(*, lower: bool = True, frame: bool = True, marked: bool = True) -> Tokenizer:
    """BERT's tokenizer over a few words."""
    vocab = {word: id_ for id_, word in enumerate(SPECIAL + WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if marked:
        tokenizer.add_special_tokens(SPECIAL)
    if frame:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    return tokenizer


def write_bert(folder: Path, tokenizer: Tokenizer, beside: dict[str, Any] | None = None, **fields: Any) -> Path:
    """Writes a BERT with a head for masked words; `beside` maps further files to their JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "bert",
        "architectures": ["BertForMaskedLM"],
        "vocab_size": 32,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
        "type_vocab_size": 2,
    } | fields
    save_file(_tensors(config), folder / "model.safetensors", {"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    for name, content in {"config.json": config, **(beside or {})}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    return folder


def _tensors(config: dict[str, Any]) -> dict[str, np.ndarray]:
    D, F, rng = config["hidden_size"], config["intermediate_size"], np.random.default_rng(0)
    made: dict[str, np.ndarray] = {}

    def draw(name: str, *shape: int, around: float = 0) -> None:
        made[name] = (around + rng.normal(0, 0.5, shape)).astype(np.float32)

    def linear(name: str, outputs: int, inputs: int) -> None:
        draw(f"{name}.weight", outputs, inputs)
        draw(f"{name}.bias", outputs)

    def norm(name: str) -> None:
        draw(f"{name}.weight", D, around=1)
        draw(f"{name}.bias", D)

    for name, rows in (
        ("word", "vocab_size"),
        ("position", "max_position_embeddings"),
        ("token_type", "type_vocab_size"),
    ):
        draw(f"bert.embeddings.{name}_embeddings.weight", config[rows], D)
    norm("bert.embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        own = f"bert.encoder.layer.{layer}."
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linear(f"{own}attention.{part}", D, D)
        norm(own + "attention.output.LayerNorm")
        linear(own + "intermediate.dense", F, D)
        linear(own + "output.dense", D, F)
        norm(own + "output.LayerNorm")
    linear("cls.predictions.transform.dense", D, D)
    norm("cls.predictions.transform.LayerNorm")
    draw("cls.predictions.bias", config["vocab_size"])
    return made


def modules(*kinds: str, **configs: dict[str, Any]) -> dict[str, Any]:
    """modules.json and the modules' own files, for `beside`; a config is named by its module's kind."""
    places = ["" if number == 0 else f"{number}_{kind}" for number, kind in enumerate(kinds)]
    listed = [
        {"idx": number, "name": str(number), "path": place, "type": _CLASSES + kind}
        for number, (kind, place) in enumerate(zip(kinds, places, strict=True))
    ]
    pooling = {"Pooling": {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True}} | configs
    files = {
        f"{place}/config.json": pooling[kind] for kind, place in zip(kinds, places, strict=True) if kind in pooling
    }
    return {"modules.json": listed, **files}


MEAN = modules("Transformer", "Pooling")
