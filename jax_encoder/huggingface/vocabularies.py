"""A tokenizer from the files of its older form, where there is no tokenizer.json: a vocabulary, and the parts that
transformers' class for the folder puts around it.

Reference: `transformers/tokenization_utils_tokenizers.py`, version 5.23.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models

from jax_encoder.errors import InputError
from jax_encoder.huggingface.files import read_json
from jax_encoder.huggingface.spm import LAYOUTS, tokenizer_of_pieces
from jax_encoder.huggingface.tokenizer_classes import TokenizerClass

WORDPIECE, BYTES, MERGES, ADDED = "vocab.txt", "vocab.json", "merges.txt", "added_tokens.json"
SENTENCEPIECE = ("sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model")


def tokenizer_of_vocabulary(
    folder: Path, config: Mapping[str, Any], theirs: TokenizerClass | None, spelled: Mapping[str, str]
) -> Tokenizer | None:
    """The tokenizer that the class makes of vocab.txt, of vocab.json and merges.txt, or of SentencePiece's model; None
    where the files that it reads are not there, or lack the tokens that it puts around a text.

    Args:
        folder: of the checkpoint.
        config: tokenizer_config.json.
        theirs: transformers' class for it.
        spelled: role -> special token.

    Raises:
        InputError: a file is damaged.
    """
    if theirs is None:
        return None
    paths = [folder / name for name in _FILES[theirs.vocabulary]]
    if not all(path.is_file() for path in paths):
        return None
    charsmap = None
    try:
        if theirs.vocabulary in LAYOUTS:
            tokenizer, charsmap = tokenizer_of_pieces(paths[0], theirs.vocabulary, spelled)
        else:
            tokenizer = _MADE[theirs.vocabulary](paths, spelled)
    except Exception as error:  # the library raises nothing narrower
        raise InputError(f"{' and '.join(map(str, paths))} cannot be read as a vocabulary: {error}") from None
    tokenizer.normalizer, tokenizer.pre_tokenizer = theirs.pieces(config, charsmap)
    return None if theirs.frame(spelled, tokenizer.token_to_id) is None else tokenizer


def with_added_tokens(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """tokenizer_config.json with the tokens that an older added_tokens.json lists beside the vocabulary.

    Raises:
        InputError: the file is no table of ids.
    """
    path = folder / ADDED
    if "added_tokens_decoder" in config or not path.is_file():
        return config
    ids = read_json(path)
    if not all(isinstance(id_, int) for id_ in ids.values()):
        raise InputError(f"{path} must be a table from tokens to whole numbers")
    special = {value.get("content") if isinstance(value, dict) else value for value in config.values() if _names(value)}
    listed = {
        str(id_): {"content": token, "normalized": token not in special, "special": token in special}
        for token, id_ in ids.items()
    }
    return config | {"added_tokens_decoder": listed}


def why_unread(folder: Path) -> str:
    """What a folder without a tokenizer that is read here lacks, and what to do."""
    there = [name for name in (*SENTENCEPIECE, WORDPIECE, BYTES) if (folder / name).is_file()]
    fetch = "fetch it, or write it with transformers' AutoTokenizer.from_pretrained(...).save_pretrained(...)"
    if not there:
        return f"{folder} has no tokenizer.json, without which texts cannot be read: {fetch}"
    return (
        f"{folder} has no tokenizer.json, and {there[0]} alone is not enough: what class of transformers' reads it is "
        f"not known here, or it lacks the tokens that the class puts around every text; {fetch}"
    )


def _names(value: object) -> bool:
    """Whether a field's value can be a token."""
    return isinstance(value, str) or (isinstance(value, dict) and isinstance(value.get("content"), str))


def _wordpiece(paths: list[Path], spelled: Mapping[str, str]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(models.WordPiece.read_file(str(paths[0])), unk_token=spelled["unk"]))
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    return tokenizer


def _bytes(paths: list[Path], spelled: Mapping[str, str]) -> Tokenizer:
    vocab, merges = models.BPE.read_file(*map(str, paths))
    tokenizer = Tokenizer(models.BPE(vocab, merges, continuing_subword_prefix="", end_of_word_suffix=""))
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _letters(paths: list[Path], spelled: Mapping[str, str]) -> Tokenizer:
    """Every entry is cut out of a text wherever it stands; what is left between blanks is unknown."""
    entries = [line.strip() for line in paths[0].read_text(encoding="utf-8").splitlines()]
    vocab = {entry: id_ for id_, entry in enumerate(entries)}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token=spelled["unk"]))
    tokenizer.add_tokens([AddedToken(entry, normalized=False) for entry in vocab if entry not in spelled.values()])
    return tokenizer


_FILES: dict[str, tuple[str, ...]] = {
    "wordpiece": (WORDPIECE,),
    "bytes": (BYTES, MERGES),
    "letters": (WORDPIECE,),
    "albert": ("spiece.model",),
    "camembert": ("sentencepiece.bpe.model",),
    "deberta": ("spm.model",),
    "xlm-roberta": ("sentencepiece.bpe.model",),
}
_MADE = {"wordpiece": _wordpiece, "bytes": _bytes, "letters": _letters}
