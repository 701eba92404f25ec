"""The reference: the encoder of `jax_encoder` in plain PyTorch, written from the papers, to be read beside it.

It asks for exactness and legibility, not speed. A config is any object with the fields of
`jax_encoder.config.EncoderConfig`, read by attribute. No module draws random numbers: parameters start from torch's own
defaults and are meant to be loaded, and dropout follows the keep masks that the caller passes in.
"""

from torch_ref import masks
from torch_ref.attention import Attention, AttentionTaps
from torch_ref.classifier import Classifier, ClassifierTaps
from torch_ref.embedding import Embedding, EmbeddingTaps
from torch_ref.encoder import Encoder, EncoderKeeps, EncoderTaps
from torch_ref.heads import MLMHead, MLMHeadTaps, Pooler, PoolerTaps, mean_pool
from torch_ref.layer import LayerKeeps, PostNormLayer, PostNormLayerTaps, PreNormLayer, PreNormLayerTaps
from torch_ref.mlp import MLP, MLPTaps
from torch_ref.model import MaskedLM, Model, ModelTaps, Outputs
from torch_ref.norm import Norm
from torch_ref.objective import masked_lm_loss
from torch_ref.relative import RelativeBias
from torch_ref.rope import rotate

__all__ = [
    "MLP",
    "Attention",
    "AttentionTaps",
    "Classifier",
    "ClassifierTaps",
    "Embedding",
    "EmbeddingTaps",
    "Encoder",
    "EncoderKeeps",
    "EncoderTaps",
    "LayerKeeps",
    "MLMHead",
    "MLMHeadTaps",
    "MLPTaps",
    "MaskedLM",
    "Model",
    "ModelTaps",
    "Norm",
    "Outputs",
    "Pooler",
    "PoolerTaps",
    "PostNormLayer",
    "PostNormLayerTaps",
    "PreNormLayer",
    "PreNormLayerTaps",
    "RelativeBias",
    "masked_lm_loss",
    "masks",
    "mean_pool",
    "rotate",
]
