"""How parameters start: by the name that a paper or its code has for it.

References: cut normals: Devlin et al. (2019), modeling.py of the authors' code; whole ones: Liu et al. (2019),
init_bert_params of theirs; narrower outputs: Shoeybi et al. (2019), section 3, https://arxiv.org/abs/1909.08053
"""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Key

from jax_encoder.config import EncoderConfig
from jax_encoder.params import Params, name_of
from jax_encoder.training.config import Init
from jax_encoder.training.optimizer import decayed

# What a block adds to the residual stream comes out of these.
_OUTPUTS = ("attention.out.kernel", "mlp.down.kernel")


def drawn(params: Params, kind: Init, encoder: EncoderConfig, key: Key[Array, ""]) -> Params:
    """The initial parameters of a kind.

    Args:
        params: as the modules draw them, from a normal cut at two of its standard deviations; norms are 1, biases 0.
        kind: how kernels and tables are to be drawn.
        encoder: whose `init_std` the standard deviation is.
        key: for what is drawn anew.
    """
    return _KINDS[kind](params, encoder, key)


def _whole(params: Params, encoder: EncoderConfig, key: Key[Array, ""]) -> Params:
    paths, tree = jax.tree_util.tree_flatten_with_path(params)
    anew = jax.tree.leaves(decayed(params))  # just what is not 1 or 0
    keys = jax.random.split(key, len(paths))
    leaves = [
        encoder.init_std * jax.random.normal(one, leaf.shape, leaf.dtype) if drawn_anew else leaf
        for one, (_, leaf), drawn_anew in zip(keys, paths, anew, strict=True)
    ]
    return jax.tree.unflatten(tree, leaves)


def _narrower_outputs(params: Params, encoder: EncoderConfig, key: Key[Array, ""]) -> Params:
    factor = (2 * encoder.num_layers) ** -0.5

    def narrowed(path: Any, leaf: Array) -> Array:
        return leaf * factor if name_of(path).endswith(_OUTPUTS) else leaf

    return jax.tree_util.tree_map_with_path(narrowed, params)


_KINDS: dict[Init, Callable[[Params, EncoderConfig, Key[Array, ""]], Params]] = {
    "truncated": lambda params, encoder, key: params,
    "normal": _whole,
    "megatron": _narrower_outputs,
}
