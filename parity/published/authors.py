"""Encoders that an installed transformers has no class for, by their authors' formulas, on its nearest class.

Written from the papers and the authors' code, with the authors' names of tensors; none of it is ours.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from parity.published import neobert


def build(architecture: str, fields: Mapping[str, Any], num_classes: int) -> Any:
    """A model of one of the authors' classes, by the fields of its config.json.

    Args:
        architecture: the authors' class.
        fields: of config.json.
        num_classes: of its classifier.
    """
    begins = next(name for name in _BUILDERS if architecture.startswith(name))
    return _BUILDERS[begins](architecture.removeprefix(begins), fields, num_classes)


class _NoPositions(nn.Module):
    """Adds nothing where a table of positions was."""

    def forward(self, ids: Tensor) -> Tensor:
        return torch.zeros((), dtype=torch.float64)


class _Glu(nn.Module):
    """Günther et al. (2023), section 2.2: the first half is bent and gates the second; the norm is part of it."""

    def __init__(self, config: Any, activation: Callable[[Tensor], Tensor]):
        super().__init__()
        D, F = config.hidden_size, config.intermediate_size
        self.gated_layers = nn.Linear(D, 2 * F, bias=False)
        self.wo = nn.Linear(F, D)
        self.layernorm = nn.LayerNorm(D, eps=config.layer_norm_eps)
        self.activation = activation

    def forward(self, x_BTD: Tensor) -> Tensor:
        gated_BTF, other_BTF = self.gated_layers(x_BTD).chunk(2, dim=-1)
        return self.layernorm(self.wo(self.activation(gated_BTF) * other_BTF) + x_BTD)


def _alibi(num_heads: int, length: int) -> Tensor:
    """Press et al. (2022), section 3, symmetric about the diagonal: what is added to the scores, [1, N, T, T]."""

    def sequence(count: int) -> list[float]:
        start = 2 ** (-(2 ** -(math.log2(count) - 3)))
        return [start * start**head for head in range(count)]

    def slopes(count: int) -> list[float]:
        if math.log2(count).is_integer():
            return sequence(count)
        closest = 2 ** math.floor(math.log2(count))
        return sequence(closest) + slopes(2 * closest)[0::2][: count - closest]

    column_T = torch.arange(length)
    distance_TT = torch.abs(column_T[None, :] - column_T[:, None])
    return torch.tensor(slopes(num_heads), dtype=torch.float64)[None, :, None, None] * -distance_TT


def _jina(task: str, fields: Mapping[str, Any], num_classes: int) -> Any:
    """BERT with linear biases for positions, and gated MLPs."""
    apart = {"model_type", "position_embedding_type", "feed_forward_type"}
    given = {name: value for name, value in fields.items() if name not in apart}
    config = transformers.BertConfig(**given, num_labels=num_classes)
    config._attn_implementation = "eager"
    model = getattr(transformers, f"Bert{task}")(config)
    encoder: Any = model if task == "Model" else model.bert
    encoder.embeddings.position_embeddings = _NoPositions()
    activation: Any = {"geglu": nn.functional.gelu, "reglu": nn.functional.relu}[fields["feed_forward_type"]]
    for layer in encoder.encoder.layer:
        del layer.intermediate, layer.output
        layer.mlp = _Glu(config, activation)
        layer.feed_forward_chunk = layer.mlp.forward
    plain = encoder.encoder.forward

    def forward(hidden_states: Tensor, attention_mask: Tensor | None = None, **rest: Any) -> Any:
        bias = _alibi(config.num_attention_heads, hidden_states.shape[1])
        return plain(hidden_states, bias if attention_mask is None else attention_mask + bias, **rest)

    encoder.encoder.forward = forward
    return model


_BUILDERS: dict[str, Callable[[str, Mapping[str, Any], int], Any]] = {"JinaBert": _jina, "NeoBERT": neobert.build}
