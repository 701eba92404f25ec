"""Ports of published models to JAX as people write them by hand, and mistakes to make in them, one at a time."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import transformers
from flax import linen, nnx
from jax import nn

import parity
from parity.models.side import Side

EMBED_DIM, NUM_HEADS, HEAD_DIM = 8, 2, 4
_SIZES = {
    "vocab_size": 40,
    "hidden_size": EMBED_DIM,
    "num_hidden_layers": 2,
    "num_attention_heads": NUM_HEADS,
    "intermediate_size": 12,
    "max_position_embeddings": 16,
    "attn_implementation": "eager",
}
_DISTIL = {
    "vocab_size": 40,
    "dim": EMBED_DIM,
    "n_layers": 2,
    "n_heads": NUM_HEADS,
    "hidden_dim": 12,
    "max_position_embeddings": 16,
    "attn_implementation": "eager",
}

# A part of the port, and what is written there by mistake.
Mistakes = Mapping[str, Callable[..., Any]]


def drawn(model: torch.nn.Module) -> torch.nn.Module:
    """The model with random parameters, as after training: none of them one number throughout."""
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=random) + (parameter == 1).double().mean())
    return model.eval()


def bert() -> torch.nn.Module:
    return drawn(transformers.BertModel(transformers.BertConfig(**_SIZES)))


def roberta() -> torch.nn.Module:
    config = transformers.RobertaConfig(**_SIZES, pad_token_id=1)
    return drawn(transformers.RobertaModel(config, add_pooling_layer=False))


def distilbert() -> torch.nn.Module:
    return drawn(transformers.DistilBertModel(transformers.DistilBertConfig(**_DISTIL)))


def inputs() -> dict[str, np.ndarray]:
    """Ragged rows; 1 is the padding."""
    tokens = np.random.default_rng(1).integers(4, 40, (3, 7))
    mask = np.arange(7) < np.asarray([7, 4, 2])[:, None]
    return {"input_ids": np.where(mask, tokens, 1), "attention_mask": mask.astype(np.int64)}


def params_of(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """torch's parameters by name, kernels transposed."""
    return {
        name: value.numpy().T if value.ndim == 2 and "embeddings" not in name else value.numpy()
        for name, value in model.state_dict().items()
        if value.is_floating_point()
    }


# The parts of a port that a mistake may stand in for.
def norm(x, scale, bias):
    mean = x.mean(-1, keepdims=True)
    variance = jnp.square(x - mean).mean(-1, keepdims=True)
    return (x - mean) / jnp.sqrt(variance + 1e-12) * scale + bias


def dense(x, kernel, bias):
    return x @ kernel + bias


def activation(x):
    return nn.gelu(x, approximate=False)


def split(x):
    return x.reshape(*x.shape[:2], NUM_HEADS, HEAD_DIM).transpose(0, 2, 1, 3)


def join(x):
    return x.transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1)


def scores(query, key):
    return query @ key.swapaxes(-1, -2) / jnp.sqrt(HEAD_DIM)


def masked(scores, mask):
    return jnp.where(mask[:, None, None] > 0, scores, -jnp.inf)


def softmax(scores):
    return nn.softmax(scores, -1)


def residual(x, update):
    return x + update


def positions(input_ids):
    return jnp.arange(input_ids.shape[1])[None]


def types(params, input_ids):
    return params["embeddings.token_type_embeddings.weight"][jnp.zeros_like(input_ids)]


def pooled(x):
    return x[:, 0]


PARTS: dict[str, Callable[..., Any]] = {
    "norm": norm,
    "dense": dense,
    "activation": activation,
    "split": split,
    "join": join,
    "scores": scores,
    "masked": masked,
    "softmax": softmax,
    "residual": residual,
    "positions": positions,
    "types": types,
    "pooled": pooled,
    "layer": lambda params, number: {k.removeprefix(f"encoder.layer.{number}."): v for k, v in params.items()},
}


def bert_port(params: Mapping[str, Any], input_ids: Any, attention_mask: Any, *, mistakes: Mistakes) -> Any:
    """BERT as a function of its parameters; mistakes stand in the last layer, or where there is only one place."""
    sound, wrong = PARTS, {**PARTS, **mistakes}
    name = "embeddings."
    x = params[f"{name}word_embeddings.weight"][input_ids] + wrong["types"](params, input_ids)
    x = x + params[f"{name}position_embeddings.weight"][wrong["positions"](input_ids)]
    x = sound["norm"](x, params[f"{name}LayerNorm.weight"], params[f"{name}LayerNorm.bias"])
    for number in (0, 1):
        x = _layer(wrong["layer"](params, number), x, attention_mask, wrong if number else sound)
    first = dense(wrong["pooled"](x), params["pooler.dense.weight"], params["pooler.dense.bias"])
    return x, jnp.tanh(first)


def _layer(params: Mapping[str, Any], x: Any, mask: Any, part: Mapping[str, Callable[..., Any]]) -> Any:
    def apply(kind, name, x):
        return part[kind](x, params[f"{name}.weight"], params[f"{name}.bias"])

    query, key, value = (
        part["split"](apply("dense", f"attention.self.{name}", x)) for name in ("query", "key", "value")
    )
    weights = part["softmax"](part["masked"](part["scores"](query, key), mask))
    context = part["join"](weights @ value)
    x = apply(
        "norm", "attention.output.LayerNorm", part["residual"](x, dense(context, *_of(params, "attention.output")))
    )
    hidden = part["activation"](dense(x, *_of(params, "intermediate")))
    return apply("norm", "output.LayerNorm", x + dense(hidden, *_of(params, "output")))


def _of(params: Mapping[str, Any], name: str) -> tuple[Any, Any]:
    return params[f"{name}.dense.weight"], params[f"{name}.dense.bias"]


def bert_pair(mistakes: Mistakes | None = None, change: Callable[[dict], None] | None = None) -> tuple[Side, Side]:
    """A port of BERT beside transformers' own, with mistakes in the port, or in the parameters that it got."""
    model = bert()
    params = params_of(model)
    if change is not None:
        change(params)
    return parity.jax(functools.partial(bert_port, mistakes=mistakes or {}), params), parity.torch(model)


class Distil(linen.Module):
    """DistilBERT in Linen, with the names that Linen's users give."""

    @linen.compact
    def __call__(self, input_ids, attention_mask):
        length = input_ids.shape[1]
        x = linen.Embed(40, EMBED_DIM, name="words")(input_ids) + linen.Embed(16, EMBED_DIM, name="places")(
            jnp.arange(length)[None]
        )
        x = linen.LayerNorm(epsilon=1e-12, name="norm")(x)
        for number in range(2):
            x = DistilLayer(name=f"layer_{number}")(x, attention_mask)
        return x


class DistilLayer(linen.Module):
    """One of its layers, around Linen's own attention."""

    @linen.compact
    def __call__(self, x, attention_mask):
        mask = attention_mask[:, None, None, :] > 0
        update = linen.MultiHeadDotProductAttention(NUM_HEADS, deterministic=True, name="attention")(x, x, mask=mask)
        x = linen.LayerNorm(epsilon=1e-12, name="norm1")(x + update)
        hidden = nn.gelu(linen.Dense(12, name="up")(x), approximate=False)
        return linen.LayerNorm(epsilon=1e-12, name="norm2")(x + linen.Dense(EMBED_DIM, name="down")(hidden))


def distil_pair() -> tuple[Side, Side]:
    """The Linen port with transformers' parameters."""
    model = distilbert()
    values = params_of(model)

    def dense(name, shape=None, bias=None):
        kernel, shift = values[f"{name}.weight"], values[f"{name}.bias"]
        return {"kernel": kernel.reshape(shape or kernel.shape), "bias": shift.reshape(bias or shift.shape)}

    def norm(name):
        return {"scale": values[f"{name}.weight"], "bias": values[f"{name}.bias"]}

    into, heads = (EMBED_DIM, NUM_HEADS, HEAD_DIM), (NUM_HEADS, HEAD_DIM)
    variables: dict[str, Any] = {
        "words": {"embedding": values["embeddings.word_embeddings.weight"]},
        "places": {"embedding": values["embeddings.position_embeddings.weight"]},
        "norm": norm("embeddings.LayerNorm"),
    }
    for number in range(2):
        name = f"transformer.layer.{number}"
        attention = {part: dense(f"{name}.attention.{part[0]}_lin", into, heads) for part in ("query", "key", "value")}
        attention["out"] = dense(f"{name}.attention.out_lin", (NUM_HEADS, HEAD_DIM, EMBED_DIM))
        variables[f"layer_{number}"] = {
            "attention": attention,
            "norm1": norm(f"{name}.sa_layer_norm"),
            "norm2": norm(f"{name}.output_layer_norm"),
            "up": dense(f"{name}.ffn.lin1"),
            "down": dense(f"{name}.ffn.lin2"),
        }
    return parity.jax(Distil(), {"params": variables}), parity.torch(model)


class Roberta(nnx.Module):
    """RoBERTa's embedding and first attention in NNX, around BERT's layers as functions."""

    def __init__(self, values: Mapping[str, np.ndarray], offset: int):
        self.values = nnx.Dict({name.replace(".", "/"): nnx.Param(jnp.asarray(one)) for name, one in values.items()})
        self.offset = offset

    def __call__(self, input_ids, attention_mask):
        params = {name.replace("/", "."): value[...] for name, value in self.values.items()}
        places = jnp.cumsum(input_ids != 1, axis=1) * (input_ids != 1) + self.offset
        x = params["embeddings.word_embeddings.weight"][input_ids] + types(params, input_ids)
        x = x + params["embeddings.position_embeddings.weight"][places]
        x = norm_1e_5(x, params["embeddings.LayerNorm.weight"], params["embeddings.LayerNorm.bias"])
        for number in (0, 1):
            x = _layer(PARTS["layer"](params, number), x, attention_mask, {**PARTS, "norm": norm_1e_5})
        return x


def norm_1e_5(x, scale, bias):
    return nn.standardize(x, epsilon=1e-12) * scale + bias


def roberta_pair(offset: int = 1) -> tuple[Side, Side]:
    """The NNX port; RoBERTa's positions begin behind the padding's number."""
    model = roberta()
    return parity.jax(Roberta(params_of(model), offset)), parity.torch(model)


def without_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same forward, and nothing backward."""
    return lambda *arguments: jax.lax.stop_gradient(function(*arguments))
