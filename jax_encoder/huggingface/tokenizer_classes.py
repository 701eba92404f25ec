"""How transformers' tokenizer classes read a text: since its version 5 they make these parts anew, whatever
tokenizer.json says.

Reference: `transformers/models/*/tokenization_*.py`, version 5.23.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tokenizers import Regex, normalizers, pre_tokenizers, processors

ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_BERT = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
_ROBERTA = {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "sep": "</s>", "pad": "<pad>", "cls": "<s>", "mask": "<mask>"}


class Pieces(NamedTuple):
    """What a class does to a text before its vocabulary is asked."""

    normalizer: Any
    pre_tokenizer: Any


class TokenizerClass(NamedTuple):
    """One class of transformers.

    Attributes:
        tokens: role -> spelling, where tokenizer_config.json does not say.
        begin, end: roles of the tokens before and behind a text.
        between: how often `end` stands between two texts.
        second_type: token type of the second text.
        pieces: what it makes of tokenizer_config.json, and of the table of characters in tokenizer.json, if it has one.
        mask_takes_blank: whether the blank before a mask token belongs to it.
        vocabulary: what its older files hold: of which kind, or in which layout of SentencePiece's.
    """

    tokens: Mapping[str, str]
    begin: str
    end: str
    between: int
    second_type: int
    pieces: Callable[[Mapping[str, Any], bytes | None], Pieces]
    mask_takes_blank: bool = False
    vocabulary: str = "xlm-roberta"

    def frame(self, spelled: Mapping[str, str], ids: Callable[[str], int | None]) -> Any:
        """The post-processor, given how roles are spelled and the ids of spellings; None where a token has no id."""
        begin, end = spelled[self.begin], spelled[self.end]
        known = {token: id_ for token in (begin, end) if (id_ := ids(token)) is not None}
        if len(known) < len({begin, end}):
            return None
        middle = " ".join([f"{end}:0"] * self.between)
        second = self.second_type
        return processors.TemplateProcessing(
            single=f"{begin}:0 $A:0 {end}:0",
            pair=f"{begin}:0 $A:0 {middle} $B:{second} {end}:{second}",
            special_tokens=list(known.items()),
        )


def _bert_pieces(config: Mapping[str, Any], charsmap: bytes | None) -> Pieces:
    normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=bool(config.get("tokenize_chinese_chars", True)),
        strip_accents=config.get("strip_accents"),
        lowercase=bool(config.get("do_lower_case", True)),
    )
    return Pieces(normalizer, pre_tokenizers.BertPreTokenizer())


def _roberta_pieces(config: Mapping[str, Any], charsmap: bytes | None) -> Pieces:
    return Pieces(None, pre_tokenizers.ByteLevel(add_prefix_space=bool(config.get("add_prefix_space", False))))


def _metaspace(config: Mapping[str, Any], otherwise: str) -> Any:
    scheme = "always" if config.get("add_prefix_space", True) else otherwise
    return pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme)


def _xlm_roberta_pieces(config: Mapping[str, Any], charsmap: bytes | None) -> Pieces:
    normalizer = None if charsmap is None else normalizers.Precompiled(charsmap)
    return Pieces(normalizer, pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), _metaspace(config, "never")]))


def _albert_pieces(config: Mapping[str, Any], charsmap: bytes | None) -> Pieces:
    parts: list[Any] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not config.get("keep_accents", False):
        parts += [normalizers.NFKD(), normalizers.StripAccents()]
    if config.get("do_lower_case", True):
        parts.append(normalizers.Lowercase())
    if charsmap is not None:
        parts.append(normalizers.Precompiled(charsmap))
    split = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), _metaspace(config, "never")])
    return Pieces(normalizers.Sequence(parts), split)


def _deberta_pieces(config: Mapping[str, Any], charsmap: bytes | None) -> Pieces:
    lower = [normalizers.Lowercase()] if config.get("do_lower_case", False) else []
    blanks = normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " ")
    marks = [pre_tokenizers.Punctuation(behavior="isolated")] if config.get("split_by_punct", False) else []
    return Pieces(
        normalizers.Sequence([*lower, blanks, normalizers.NFC(), normalizers.Strip(left=False, right=True)]),
        pre_tokenizers.Sequence([*marks, _metaspace(config, "first")]),
    )


def _letter_pieces(config: Mapping[str, Any], charsmap: bytes | None) -> Pieces:
    # What Python calls a blank, which four control characters are, too.
    return Pieces(None, pre_tokenizers.Split(Regex(r"[\s\x1c-\x1f]+"), "removed"))


_ESM = {"unk": "<unk>", "pad": "<pad>", "cls": "<cls>", "mask": "<mask>", "eos": "<eos>"}
_WORDPIECE = TokenizerClass(_BERT, "cls", "sep", 1, 1, _bert_pieces, vocabulary="wordpiece")
_XLM_ROBERTA = TokenizerClass(_ROBERTA, "bos", "eos", 2, 0, _xlm_roberta_pieces)
CLASSES: dict[str, TokenizerClass] = {
    **dict.fromkeys(
        (
            *("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer"),
            *("ConvBertTokenizer", "LayoutLMTokenizer"),
        ),
        _WORDPIECE,
    ),
    "MPNetTokenizer": TokenizerClass(
        _ROBERTA | {"unk": "[UNK]"}, "cls", "sep", 2, 0, _bert_pieces, mask_takes_blank=True, vocabulary="wordpiece"
    ),
    "RobertaTokenizer": TokenizerClass(_ROBERTA, "cls", "sep", 2, 0, _roberta_pieces, vocabulary="bytes"),
    "XLMRobertaTokenizer": _XLM_ROBERTA,
    "CamembertTokenizer": _XLM_ROBERTA._replace(mask_takes_blank=True, vocabulary="camembert"),
    "AlbertTokenizer": TokenizerClass(
        _BERT | {"bos": "[CLS]", "eos": "[SEP]", "unk": "<unk>", "pad": "<pad>"},
        "cls",
        "sep",
        1,
        1,
        _albert_pieces,
        vocabulary="albert",
    ),
    "EsmTokenizer": TokenizerClass(_ESM, "cls", "eos", 1, 0, _letter_pieces, vocabulary="letters"),
    "DebertaV2Tokenizer": TokenizerClass(
        _BERT | {"bos": "[CLS]", "eos": "[SEP]"}, "cls", "sep", 1, 1, _deberta_pieces, vocabulary="deberta"
    ),
}
# The class that transformers takes for a model type, where the folder names none.
_OF_MODEL_TYPE = {
    **dict.fromkeys(("bert", "distilbert", "electra", "nomic_bert"), "BertTokenizer"),
    "mpnet": "MPNetTokenizer",
    "roberta": "RobertaTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
    "jina_embeddings_v3": "XLMRobertaTokenizer",
    "camembert": "CamembertTokenizer",
    "albert": "AlbertTokenizer",
    "deberta-v2": "DebertaV2Tokenizer",
    "esm": "EsmTokenizer",
}
# Whatever their folders name, transformers reads these as the file says.
_AS_THE_FILE_SAYS = ("modernbert",)


def class_of(named: object, model_type: str) -> tuple[str, TokenizerClass | None]:
    """The name of the class that transformers takes, and what it does; None where it does what tokenizer.json says.

    Args:
        named: what the folder says that it is, if it does.
        model_type: of config.json.
    """
    if not isinstance(named, str):
        named = _OF_MODEL_TYPE.get(model_type, "")
    name = named if named == "PreTrainedTokenizerFast" else named.removesuffix("Fast")
    return name, None if model_type in _AS_THE_FILE_SAYS else CLASSES.get(name)
