"""Small folders of many families and kinds of tokenizers, as their libraries write them: to try the harness on."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from parity.text.corpus import sentences
from parity.text.library import quiet

_BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_LENGTH = 40
# Without it, transformers hands the types of two texts on for BERT's own tokenizer only.
_TYPED = ["input_ids", "token_type_ids", "attention_mask"]
_SIZES = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20}
_DISTIL = {"dim": 12, "n_layers": 2, "n_heads": 3, "hidden_dim": 20}


def wordpiece(special: tuple[str, ...] = _BERT) -> dict[str, int]:
    """Special tokens, the words of plain prose in both cases and with accents and without, and most letters."""
    words = sorted({word.strip(".!?;:") for text in sentences(60) for word in text.split()} - {""})
    words += sorted({_plain(word.lower()) for word in words} | {word.lower() for word in words})
    letters = [chr(code) for code in (*range(33, 127), *range(0xC0, 0x100), *range(0x410, 0x450), 0x4E2D, 0x1F600)]
    pieces = [*special, *words, *letters, *(f"##{letter}" for letter in letters)]
    return {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}


def unigram(special: tuple[str, ...]) -> list[tuple[str, float]]:
    """The same for tokenizers that choose the likeliest pieces; a longer piece is likelier than its letters."""
    pieces = [piece for piece in wordpiece(()) if not piece.startswith("##")]
    words = [f"▁{piece}" for piece in pieces if len(piece) > 1]
    letters = [piece for piece in pieces if len(piece) == 1]
    scored = [(piece, -4.0 - len(piece) / 10) for piece in words] + [(piece, -9.0) for piece in letters]
    return [*((token, 0.0) for token in special), ("▁", -6.0), *scored]


def byte_pairs(special: tuple[str, ...]) -> Tokenizer:
    """Pairs of bytes, trained on plain prose."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(sentences(60), trainer)
    return tokenizer


def _bert(**options: Any) -> Callable[[], Any]:
    return lambda: transformers.BertTokenizer(vocab=wordpiece(), model_max_length=_LENGTH, **options)


def _roberta(**options: Any) -> Callable[[], Any]:
    def made() -> Any:
        content = json.loads(byte_pairs(_ROBERTA).to_str())["model"]
        merges = [tuple(merge) for merge in content["merges"]]
        mask = AddedToken("<mask>", lstrip=True, normalized=False, special=True)
        given = {"vocab": content["vocab"], "merges": merges, "mask_token": mask, "model_max_length": _LENGTH}
        return transformers.RobertaTokenizer(**given, **options)

    return made


def _modernbert() -> Any:
    tokenizer = byte_pairs(_BERT)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.post_processor = _template(tokenizer, "[CLS]", "[SEP]")
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True, normalized=False)])
    return _fast(tokenizer, _BERT, model_input_names=["input_ids", "attention_mask"])


def _eurobert() -> Any:
    tokenizer = byte_pairs(("<|begin|>", "<|end|>", "<|pad|>", "<|mask|>"))
    split = pre_tokenizers.Split(Regex(r"\p{N}{1,3}| ?[^\s\p{N}]+|\s+"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.post_processor = _template(tokenizer, "<|begin|>", "<|end|>")
    names = {"bos_token": "<|begin|>", "eos_token": "<|end|>", "pad_token": "<|pad|>", "mask_token": "<|mask|>"}
    inputs = ["input_ids", "attention_mask"]
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=_LENGTH, model_input_names=inputs, **names
    )


def _metaspace() -> Any:
    """Pieces that begin with a mark for the space, under BERT's special tokens."""
    tokenizer = Tokenizer(models.Unigram(unigram(_BERT), unk_id=1))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.post_processor = _template(tokenizer, "[CLS]", "[SEP]")
    return _fast(tokenizer, _BERT, model_input_names=_TYPED)


def _fast(tokenizer: Tokenizer, special: tuple[str, ...], **options: Any) -> Any:
    roles = ("pad", "unk", "cls", "sep", "mask")
    names = {f"{role}_token": token for role, token in zip(roles, special, strict=True)}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=_LENGTH, **names, **options
    )


def _template(tokenizer: Tokenizer, begin: str, end: str) -> Any:
    return processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} $B:1 {end}:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in (begin, end)],
    )


def _plain(word: str) -> str:
    return normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]).normalize_str(word)


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
        beside: further files, by name.
    """

    tokenizer: Callable[[], Any]
    model: str
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    beside: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Writes all of it; equal folders every time."""
        with quiet():
            tokenizer = self.tokenizer()
            tokenizer.save_pretrained(folder)
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


_PLACES = _SIZES | {"max_position_embeddings": _LENGTH}
_BEHIND = _SIZES | {"max_position_embeddings": _LENGTH + 2, "pad_token_id": 1}
_NAMED = {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3, "pad_token_id": 0}
_PROMPTED = {"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": "query"}
_SHORT = {"sentence_bert_config.json": {"max_seq_length": 24, "do_lower_case": False}}

SMALL: dict[str, Small] = {
    "bert-uncased": Small(
        tokenizer=_bert(),
        model="BertModel",
        fields=_PLACES,
        beside=sentence_files(normalize=True, config=_PROMPTED) | _SHORT,
    ),
    "bert-cased": Small(tokenizer=_bert(do_lower_case=False), model="BertForMaskedLM", fields=_PLACES),
    "roberta": Small(tokenizer=_roberta(), model="RobertaForMaskedLM", fields=_BEHIND),
    "roberta-left": Small(
        tokenizer=_roberta(truncation_side="left"),
        model="RobertaModel",
        fields=_BEHIND,
        beside=sentence_files(mode="lasttoken"),
    ),
    "xlm-roberta": Small(
        tokenizer=lambda: transformers.XLMRobertaTokenizer(vocab=unigram(_ROBERTA), model_max_length=_LENGTH),
        model="XLMRobertaModel",
        fields=_BEHIND,
        beside=sentence_files(mode="cls", normalize=True),
    ),
    "camembert": Small(
        tokenizer=lambda: transformers.CamembertTokenizer(
            vocab=unigram(("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>", "<mask>")),
            model_max_length=_LENGTH,
        ),
        model="CamembertForMaskedLM",
        fields=_BEHIND,
    ),
    "albert": Small(
        tokenizer=lambda: transformers.AlbertTokenizer(
            vocab=unigram(("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")),
            model_max_length=_LENGTH,
            model_input_names=_TYPED,
        ),
        model="AlbertForMaskedLM",
        fields=_PLACES | {"embedding_size": 8},
    ),
    "mpnet": Small(
        tokenizer=lambda: transformers.MPNetTokenizer(
            vocab=wordpiece(("<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>")), model_max_length=_LENGTH
        ),
        model="MPNetModel",
        fields=_BEHIND,
        beside=sentence_files(normalize=True),
    ),
    "distilbert": Small(
        tokenizer=lambda: transformers.DistilBertTokenizer(vocab=wordpiece(), model_max_length=_LENGTH),
        model="DistilBertForMaskedLM",
        fields=_DISTIL | {"max_position_embeddings": _LENGTH},
    ),
    "truncated": Small(
        tokenizer=_bert(do_lower_case=False),
        model="BertModel",
        fields=_PLACES,
        beside=sentence_files(normalize=True, config={"truncate_dim": 7}),
    ),
    "electra": Small(
        tokenizer=_bert(do_lower_case=False, strip_accents=True),
        model="ElectraModel",
        fields=_PLACES | {"embedding_size": 8},
        beside=sentence_files(mode="max"),
    ),
    "modernbert": Small(tokenizer=_modernbert, model="ModernBertForMaskedLM", fields=_PLACES | _NAMED),
    "eurobert": Small(
        tokenizer=_eurobert,
        model="EuroBertModel",
        fields=_PLACES | {"num_attention_heads": 6, "num_key_value_heads": 3, "pad_token_id": 2, "mask_token_id": 3},
    ),
    "metaspace": Small(tokenizer=_metaspace, model="BertForMaskedLM", fields=_PLACES),
}
