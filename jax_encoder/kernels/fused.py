"""The implementations that the layers of one encoder use, ready to be called."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jax_encoder import placement
from jax_encoder.config import EncoderConfig
from jax_encoder.kernels import table
from jax_encoder.kernels.sight import Attend, Sight
from jax_encoder.masks import Documents, Mask, dense

Kind = int | Int[Array, ""]


def attended(attend: Attend, given: tuple[Array, Array, Array], sight: Sight, scale: float) -> Float[Array, "B N T H"]:
    """What every query gathers; exactly 0 at padding, whatever the implementation makes of it, and so is its gradient.

    Args:
        attend: the implementation.
        given: query, key and value, head-major.
        sight: who sees whom.
        scale: of the scores.
    """
    return jnp.where((sight.segments != 0)[:, None, :, None], attend(*given, sight, scale), 0)


class Fused(NamedTuple):
    """Attention by the implementation that a layer has.

    Attributes:
        documents: of every row.
        choices: one for every window that the encoder has.
        kind: which of them is the layer's; traced where layers are scanned.
    """

    documents: Documents
    choices: tuple[table.Choice, ...]
    kind: Kind

    def __call__(
        self,
        query_BNTH: Float[Array, "B N T H"],
        key_BGSH: Float[Array, "B G S H"],
        value_BGSH: Float[Array, "B G S H"],
        scale: float,
    ) -> Float[Array, "B N T H"]:
        """What every query gathers; exactly 0 at padding, whose gradient is then exactly 0 too."""
        given = query_BNTH, key_BGSH, value_BGSH
        runs = [self._of(choice, scale) for choice in self.choices]
        return runs[self.kind](*given) if isinstance(self.kind, int) else jax.lax.switch(self.kind, runs, *given)

    def _of(self, choice: table.Choice, scale: float) -> Callable[[Array, Array, Array], Array]:
        attend = placement.split_by_hand(table.IMPLEMENTATIONS[choice.name].attend(self.documents.interpret))
        sight = Sight(self.documents.segments, choice.window)
        return lambda *given: attended(attend, given, sight, scale)


def fused_for(
    mask_BTS: Mask, config: EncoderConfig, dtype: DTypeLike, *, drops: bool
) -> tuple[Mask, Callable[[Kind], Fused | None]]:
    """The mask that the layers are to have, and what each layer, by the number of its window, has in its place.

    Where all of them get the reference, as they do with a mask that is an array and may be any, that is nothing.
    """
    if not isinstance(mask_BTS, Documents):
        return mask_BTS, lambda kind: None
    plan = table.plan(
        config,
        dtype,
        mask_BTS.segments.shape[1],
        drops=drops,
        asked=mask_BTS.attention,
        interpret=mask_BTS.interpret,
    )
    choices = tuple(plan.values())
    if all(choice.name == table.EINSUM for choice in choices):
        return dense(mask_BTS), lambda kind: None
    return mask_BTS, lambda kind: Fused(mask_BTS, choices, kind)
