"""What stands beside config and weights in a published folder and is carried along as it is: how other libraries are to
use the tokenizer, and how sentence-transformers makes a vector of a text.
"""

import re
from pathlib import Path

from jax_encoder.errors import InputError
from jax_encoder.huggingface.pooling import MODULES, SENTENCES, TOKENIZER_CONFIG, TRANSFORMER_CONFIGS

_NAMES = (TOKENIZER_CONFIG, "special_tokens_map.json", "added_tokens.json", MODULES, SENTENCES, *TRANSFORMER_CONFIGS)
# Tokenizers in their older form, where there is no tokenizer.json.
_VOCABULARIES = ("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model")
_MODULE = re.compile(r"\d+_\w+")


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
    names += [f"{name}/config.json" for name in modules if (folder / name / "config.json").is_file()]
    try:
        return {name: (folder / name).read_bytes() for name in names}
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from None
