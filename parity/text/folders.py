"""Small folders of many families and kinds of tokenizers, as their libraries write them: to try the harness on."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from parity.text.library import quiet
from parity.text.toy_tokenizers import (
    LENGTH,
    ROBERTA,
    TYPED,
    bert,
    esm,
    eurobert,
    metaspace,
    modernbert,
    roberta,
    unigram,
    wordpiece,
)

_SIZES = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20}
_DISTIL = {"dim": 12, "n_layers": 2, "n_heads": 3, "hidden_dim": 20}


def _as_vocabulary(folder: Path) -> None:
    """A vocabulary in the place of tokenizer.json."""
    path = folder / "tokenizer.json"
    model = json.loads(path.read_text())["model"]
    path.unlink()
    if model["type"] == "WordPiece":
        (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in model["vocab"]), encoding="utf-8")
        return
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    (folder / "merges.txt").write_text("".join(f"{' '.join(pair)}\n" for pair in model["merges"]), encoding="utf-8")


def sentence_files(
    *, mode: str = "mean", normalize: bool = False, config: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What sentence-transformers reads beside a checkpoint; `config` is of the whole."""
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), *([("2_Normalize", "Normalize")] * normalize)]
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(kinds)
    ]
    return {
        "modules.json": modules,
        "1_Pooling/config.json": {"word_embedding_dimension": 12, "pooling_mode": mode},
        "config_sentence_transformers.json": dict(config or {}),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Small:
    """One folder.

    Attributes:
        tokenizer: makes transformers' tokenizer.
        model: transformers' class.
        fields: of its config, besides sizes.
        older: whether the tokenizer's files are those from before there was tokenizer.json.
        beside: further files, by name.
    """

    tokenizer: Callable[[], Any]
    model: str
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    older: bool = False
    beside: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Writes all of it; equal folders every time."""
        with quiet():
            tokenizer = self.tokenizer()
            tokenizer.save_pretrained(folder)
            if self.older:
                _as_vocabulary(folder)
            cls = getattr(transformers, self.model)
            config = cls.config_class(vocab_size=len(tokenizer), **self.fields)
            model = cls(config)
            drawn = torch.Generator().manual_seed(0)
            with torch.no_grad():
                for param in model.parameters():
                    param.normal_(std=0.4, generator=drawn)
            model.save_pretrained(folder)
        for name, content in self.beside.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(json.dumps(content))
        return folder


_PLACES = _SIZES | {"max_position_embeddings": LENGTH}
_BEHIND = _SIZES | {"max_position_embeddings": LENGTH + 2, "pad_token_id": 1}
_NAMED = {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3, "pad_token_id": 0}
_DISTANCES = {
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "position_biased_input": False,
    "type_vocab_size": 0,
}
_PROMPTED = {"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": "query"}
_SHORT = {"sentence_bert_config.json": {"max_seq_length": 24, "do_lower_case": False}}

SMALL: dict[str, Small] = {
    "bert-uncased": Small(
        tokenizer=bert(),
        model="BertModel",
        fields=_PLACES,
        beside=sentence_files(normalize=True, config=_PROMPTED) | _SHORT,
    ),
    "bert-cased": Small(tokenizer=bert(do_lower_case=False), model="BertForMaskedLM", fields=_PLACES),
    "roberta": Small(tokenizer=roberta(), model="RobertaForMaskedLM", fields=_BEHIND),
    "roberta-left": Small(
        tokenizer=roberta(truncation_side="left"),
        model="RobertaModel",
        fields=_BEHIND,
        beside=sentence_files(mode="lasttoken"),
    ),
    "xlm-roberta": Small(
        tokenizer=lambda: transformers.XLMRobertaTokenizer(vocab=unigram(ROBERTA), model_max_length=LENGTH),
        model="XLMRobertaModel",
        fields=_BEHIND,
        beside=sentence_files(mode="cls", normalize=True),
    ),
    "camembert": Small(
        tokenizer=lambda: transformers.CamembertTokenizer(
            vocab=unigram(("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>", "<mask>")),
            model_max_length=LENGTH,
        ),
        model="CamembertForMaskedLM",
        fields=_BEHIND,
    ),
    "albert": Small(
        tokenizer=lambda: transformers.AlbertTokenizer(
            vocab=unigram(("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")),
            model_max_length=LENGTH,
            model_input_names=TYPED,
        ),
        model="AlbertForMaskedLM",
        fields=_PLACES | {"embedding_size": 8},
    ),
    "mpnet": Small(
        tokenizer=lambda: transformers.MPNetTokenizer(
            vocab=wordpiece(("<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>")), model_max_length=LENGTH
        ),
        model="MPNetModel",
        fields=_BEHIND,
        beside=sentence_files(normalize=True),
    ),
    "distilbert": Small(
        tokenizer=lambda: transformers.DistilBertTokenizer(vocab=wordpiece(), model_max_length=LENGTH),
        model="DistilBertForMaskedLM",
        fields=_DISTIL | {"max_position_embeddings": LENGTH},
    ),
    "truncated": Small(
        tokenizer=bert(do_lower_case=False),
        model="BertModel",
        fields=_PLACES,
        beside=sentence_files(normalize=True, config={"truncate_dim": 7}),
    ),
    "electra": Small(
        tokenizer=bert(do_lower_case=False, strip_accents=True),
        model="ElectraModel",
        fields=_PLACES | {"embedding_size": 8},
        beside=sentence_files(mode="max"),
    ),
    "modernbert": Small(tokenizer=modernbert, model="ModernBertForMaskedLM", fields=_PLACES | _NAMED),
    "eurobert": Small(
        tokenizer=eurobert,
        model="EuroBertModel",
        fields=_PLACES | {"num_attention_heads": 6, "num_key_value_heads": 3, "pad_token_id": 2, "mask_token_id": 3},
    ),
    "metaspace": Small(tokenizer=metaspace, model="BertForMaskedLM", fields=_PLACES),
    "bert-vocab": Small(tokenizer=bert(), model="BertForMaskedLM", fields=_PLACES, older=True),
    "roberta-vocab": Small(tokenizer=roberta(), model="RobertaForMaskedLM", fields=_BEHIND, older=True),
    "deberta": Small(
        tokenizer=lambda: transformers.DebertaV2Tokenizer(
            vocab=unigram(("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")), unk_id=3, model_max_length=LENGTH
        ),
        model="DebertaV2ForMaskedLM",
        fields=_PLACES | _DISTANCES,
    ),
    "t5": Small(
        tokenizer=lambda: transformers.T5Tokenizer(
            vocab=unigram(("<pad>", "</s>", "<unk>")), extra_ids=4, model_max_length=LENGTH
        ),
        model="T5EncoderModel",
        fields={"d_model": 12, "num_layers": 2, "num_heads": 3, "d_kv": 4, "d_ff": 20, "n_positions": LENGTH},
    ),
    "esm": Small(
        tokenizer=esm,
        model="EsmForMaskedLM",
        fields=_BEHIND | {"mask_token_id": 32, "token_dropout": True, "position_embedding_type": "rotary"},
    ),
}
