"""What stands beside config and weights in a published folder and is carried along as it is: how other libraries are to
use the tokenizer, and how sentence-transformers makes a vector of a text.
"""

import re
from pathlib import Path

from jax_encoder.errors import InputError
from jax_encoder.huggingface.reading import SPECIAL_TOKENS, TOKENIZER_CONFIG
from jax_encoder.huggingface.vocabularies import BYTES, MERGES, SENTENCEPIECE, WORDPIECE

MODULES, SENTENCES = "modules.json", "config_sentence_transformers.json"
# The module Transformer's own file has had a name for each family.
TRANSFORMER_CONFIGS = tuple(
    f"sentence_{family}_config.json"
    for family in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_NAMES = (TOKENIZER_CONFIG, SPECIAL_TOKENS, "added_tokens.json", MODULES, SENTENCES, *TRANSFORMER_CONFIGS)
# Tokenizers in their older form, where there is no tokenizer.json.
_VOCABULARIES = (WORDPIECE, BYTES, MERGES, *SENTENCEPIECE)
_MODULE = re.compile(r"\d+_\w+")
_OF_A_MODULE = ("config.json", "model.safetensors")


def read_beside(folder: Path, *, vocabularies: bool) -> dict[str, bytes]:
    """Name -> content of the files to carry along.

    Args:
        folder: of the checkpoint.
        vocabularies: whether the tokenizer's older files are among them.

    Raises:
        InputError: one cannot be read.
    """
    names = [name for name in (*_NAMES, *(_VOCABULARIES if vocabularies else ())) if (folder / name).is_file()]
    modules = sorted(path.name for path in folder.iterdir() if _MODULE.fullmatch(path.name))
    names += [f"{name}/{own}" for name in modules for own in _OF_A_MODULE if (folder / name / own).is_file()]
    try:
        return {name: (folder / name).read_bytes() for name in names}
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from None


def of_module(name: str) -> bool:
    """Whether a file lies in the folder of one of sentence-transformers' modules."""
    return _MODULE.fullmatch(name.split("/")[0]) is not None and "/" in name
