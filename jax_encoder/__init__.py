"""A transformer encoder in JAX and Flax NNX. All but the config loads JAX, and only on first use."""

import importlib
from typing import TYPE_CHECKING

from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from jax_encoder.errors import InputError

if TYPE_CHECKING:
    from jax_encoder.attention import Attention
    from jax_encoder.classifier import Classifier
    from jax_encoder.encode import TextEncoder
    from jax_encoder.encoder import Encoder
    from jax_encoder.heads import MLMHead, Pooler, mean_pool
    from jax_encoder.model import MaskedLM, Model, Parts

__all__ = [
    "Attention",
    "Classifier",
    "ClassifierConfig",
    "Encoder",
    "EncoderConfig",
    "InputError",
    "MLMHead",
    "MaskedLM",
    "Model",
    "Parts",
    "Pooler",
    "TextEncoder",
    "mean_pool",
]

_MODULES = {
    "Attention": "attention",
    "Classifier": "classifier",
    "Encoder": "encoder",
    "MLMHead": "heads",
    "MaskedLM": "model",
    "Model": "model",
    "Parts": "model",
    "Pooler": "heads",
    "TextEncoder": "encode",
    "mean_pool": "heads",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
