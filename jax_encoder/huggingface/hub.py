"""Where a checkpoint's files are: a folder, or a name on the Hugging Face hub: https://huggingface.co/docs/hub"""

from pathlib import Path

from jax_encoder.errors import InputError
from jax_encoder.huggingface.tensors import PICKLED
from jax_encoder.huggingface.vocabularies import SENTENCEPIECE

# What belongs to a checkpoint besides its weights.
_WANTED = ("*.json", "*.safetensors", "1_Pooling/*", "*.txt", *SENTENCEPIECE)


def folder_of(name: str | Path, *, allow_pickle: bool = False) -> Path:
    """The folder itself, or where huggingface_hub has put the files of that name.

    Args:
        name: a folder; or `owner/name`, or `name` alone.
        allow_pickle: fetches pickled weights, where there are no others.

    Raises:
        InputError: no such folder, and no such name, no network or no huggingface_hub.
    """
    if Path(name).is_dir():
        return Path(name)
    if isinstance(name, Path) or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise InputError(f"{name} is not a folder: name one with config.json and weights")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise InputError(
            f"{name} is not a folder here, and names on the hub need huggingface_hub: pip install huggingface_hub"
        ) from None
    try:
        folder = Path(snapshot_download(name, allow_patterns=list(_WANTED)))
        if allow_pickle and not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(name, allow_patterns=[f"{Path(PICKLED).stem}*.bin"]))
    except Exception as error:  # the library's own, its network client's and the file system's share no class
        said = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"{name} is not a folder here, and could not be fetched from the hub: {said[0]}") from None
    return folder
