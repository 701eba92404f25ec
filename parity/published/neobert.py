"""NeoBERT by its authors' formula: Le Breton et al. (2025), https://arxiv.org/abs/2502.19587, and their code.

Axes: B batch, T position, N heads, H width of a head, h half of it.
"""

import abc
from collections.abc import Mapping
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers.utils import ModelOutput


def build(task: str, fields: Mapping[str, Any], num_classes: int) -> nn.Module:
    """A model of the authors' class that ends so."""
    return _BUILT[task](fields, num_classes)


def _turned(x_BTNH: Tensor, positions_BT: Tensor) -> Tensor:
    """Rotary positions as complex numbers: neighbours are real and imaginary part."""
    H = x_BTNH.shape[-1]
    frequency_h = 1.0 / 10_000.0 ** (torch.arange(0, H, 2, dtype=torch.float64) / H)
    angle_BT1h = positions_BT[:, :, None, None] * frequency_h
    pairs_BTNh = torch.view_as_complex(x_BTNH.unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs_BTNh * torch.polar(torch.ones_like(angle_BT1h), angle_BT1h)).flatten(-2)


class _SwiGlu(nn.Module):
    """Two thirds of the width that the config names, in multiples of 8; the first half is bent."""

    def __init__(self, width: int, named: int):
        super().__init__()
        inner = 8 * ((int(2 * named / 3) + 7) // 8)
        self.w12 = nn.Linear(width, 2 * inner, bias=False)
        self.w3 = nn.Linear(inner, width, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        bent_BTF, other_BTF = self.w12(x_BTD).chunk(2, dim=-1)
        return self.w3(nn.functional.silu(bent_BTF) * other_BTF)


class _Block(nn.Module):
    """Attention, then the MLP, each after a norm and added."""

    def __init__(self, fields: Mapping[str, Any]):
        super().__init__()
        width, eps = fields["hidden_size"], fields["norm_eps"]
        self.num_heads = fields["num_attention_heads"]
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.wo = nn.Linear(width, width, bias=False)
        self.ffn = _SwiGlu(width, fields["intermediate_size"])
        self.attention_norm, self.ffn_norm = nn.RMSNorm(width, eps), nn.RMSNorm(width, eps)

    def forward(self, x_BTD: Tensor, positions_BT: Tensor, valid_BT: Tensor) -> tuple[Tensor, Tensor]:
        # Every head has its query, key and value beside one another.
        heads = self.qkv(self.attention_norm(x_BTD)).unflatten(-1, (self.num_heads, -1)).chunk(3, dim=-1)
        query, key = (_turned(each, positions_BT).transpose(1, 2) for each in heads[:2])
        scores_BNTS = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
        weights_BNTS = scores_BNTS.masked_fill(~valid_BT[:, None, None], float("-inf")).softmax(dim=-1)
        x_BTD = x_BTD + self.wo((weights_BNTS @ heads[2].transpose(1, 2)).transpose(1, 2).flatten(2))
        return x_BTD + self.ffn(self.ffn_norm(x_BTD)), weights_BNTS


class _Encoder(nn.Module):
    """The class NeoBERT."""

    base_model_prefix = "model"

    def __init__(self, fields: Mapping[str, Any], _: int):
        super().__init__()
        self.config = _config(fields)
        self.encoder = nn.Embedding(fields["vocab_size"], fields["hidden_size"], padding_idx=fields["pad_token_id"])
        self.transformer_encoder = nn.ModuleList(_Block(fields) for _ in range(fields["num_hidden_layers"]))
        self.layer_norm = nn.RMSNorm(fields["hidden_size"], fields["norm_eps"])

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor | None = None, **asked: Any
    ) -> ModelOutput:
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1])[None]
        x_BTD = self.encoder(input_ids)
        hidden, attentions = [x_BTD], []
        for block in self.transformer_encoder:
            x_BTD, weights_BNTS = block(x_BTD, position_ids, attention_mask > 0)
            hidden.append(x_BTD)
            attentions.append(weights_BNTS)
        hidden[-1] = self.layer_norm(x_BTD)
        return ModelOutput(hidden_states=tuple(hidden), attentions=tuple(attentions))


class _Headed(nn.Module, abc.ABC):
    """An encoder under a head, which reads its last states."""

    def __init__(self, fields: Mapping[str, Any], num_classes: int):
        super().__init__()
        self.model = _Encoder(fields, num_classes)
        self.config = self.model.config

    @abc.abstractmethod
    def read(self, x_BTD: Tensor) -> Tensor:
        """Scores of the last states."""

    def forward(self, labels: Tensor | None = None, **given: Any) -> ModelOutput:
        output = self.model(**given)
        logits = self.read(output.hidden_states[-1])
        loss = None if labels is None else nn.functional.cross_entropy(logits.flatten(0, -2), labels.flatten())
        return ModelOutput(logits=logits, loss=loss, **output)


class _LMHead(_Headed):
    """The class NeoBERTLMHead."""

    def __init__(self, fields: Mapping[str, Any], num_classes: int):
        super().__init__(fields, num_classes)
        self.decoder = nn.Linear(fields["hidden_size"], fields["vocab_size"])

    def read(self, x_BTD: Tensor) -> Tensor:
        return self.decoder(x_BTD)


class _ForSequenceClassification(_Headed):
    """The class NeoBERTForSequenceClassification."""

    def __init__(self, fields: Mapping[str, Any], num_classes: int):
        super().__init__(fields, num_classes)
        self.dense = nn.Linear(fields["hidden_size"], fields["hidden_size"])
        self.classifier = nn.Linear(fields["hidden_size"], num_classes)

    def read(self, x_BTD: Tensor) -> Tensor:
        return self.classifier(torch.tanh(self.dense(x_BTD[:, 0])))


def _config(fields: Mapping[str, Any]) -> Any:
    return transformers.PreTrainedConfig(pad_token_id=fields["pad_token_id"], tie_word_embeddings=False)


_BUILT: dict[str, Any] = {
    "": _Encoder,
    "LMHead": _LMHead,
    "ForSequenceClassification": _ForSequenceClassification,
}
