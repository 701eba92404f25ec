"""What both sides are given on one case: the case itself, the targets of the loss, and directions to project on.

Axes: B batch, T column, K target, D embed_dim, V vocabulary.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

import torch_ref
from jax_encoder import masks as jax_masks
from jax_encoder.config import EncoderConfig
from jax_encoder.data.masking import Batch
from parity.cases.case import Case
from parity.encoder.draws import drawn_masks
from parity.encoder.form import Form
from parity.judge.crash import running
from torch_ref import masks as torch_masks

TARGETS = 4  # columns a row


class Targets(NamedTuple):
    """What the masked-language-model loss asks for; padding and some other columns are filler, with random labels."""

    targets: Any
    labels: Any
    weights: Any


class Directions(NamedTuple):
    """Random weights of what an encoder puts out: their sum is a loss whose gradient nothing cancels.

    The mean of a layer norm's output, for one, is the same whatever came in. None where a side has no such output.
    """

    output: Any
    logits: Any | None
    pooler: Any | None
    classes: Any | None
    mean_pool: Any


@dataclasses.dataclass(frozen=True, eq=False)
class Inputs:
    """One case made ready for both sides.

    Attributes:
        case: what to encode.
        form: of both sides.
        targets: of the loss; None for a poisoned case, whose decoder holds NaN.
        directions: of the projection.
        key: of the dropout masks; None without dropout.
    """

    case: Case
    form: Form
    targets: Targets | None
    directions: Directions
    key: jax.Array | None

    @classmethod
    def of(cls, case: Case, form: Form) -> "Inputs":
        """Draws targets and directions; equal arguments give equal inputs."""
        rng = np.random.default_rng(case.tokens_BT.size)
        decoded, config, classes = case.poison is None, form.config, form.classifier
        (B, T), D = case.tokens_BT.shape, config.embed_dim
        scored = (B, T) if classes is None or classes.pooling is None else (B,)
        directions = Directions(
            output=rng.standard_normal((B, T, D)),
            logits=rng.standard_normal((B, T, config.vocab_size)) if decoded else None,
            pooler=rng.standard_normal((B, D)) if form.pooler else None,
            classes=None if classes is None else rng.standard_normal((*scored, classes.num_classes)),
            mean_pool=rng.standard_normal((B, D)),
        )
        key = jax.random.key(case.tokens_BT.size) if form.drops else None
        return cls(case, form, _targets(case, config, rng) if decoded else None, directions, key)

    @property
    def as_in_training(self) -> bool:
        """Whether the program that training runs takes such a case: rows by segments, and a decoder without NaN."""
        return self.case.segments_BT is not None and self.targets is not None

    def for_jax(self) -> dict[str, Any]:
        """The case as our encoder takes it; of packed rows, our own mask and positions."""
        case = self.case
        mask_BTS: Any = case.mask_BTS
        positions_BT: Any = case.positions_BT
        if case.segments_BT is not None:
            segments_BT = jnp.asarray(case.segments_BT)
            mask_BTS = jax_masks.from_segments(segments_BT)
            positions_BT = jax_masks.positions_from_segments(segments_BT)
        given = {
            "tokens_BT": case.tokens_BT,
            "mask_BTS": mask_BTS,
            "positions_BT": positions_BT,
            "token_types_BT": case.token_types_BT,
        }
        on_device = {name: None if value is None else jnp.asarray(value) for name, value in given.items()}
        return on_device | {"dropout_key": self.key}

    def for_torch(self) -> dict[str, Any]:
        """The case as the reference takes it, with the dropout masks that our side draws from the key."""
        case = self.case
        mask_BTS, positions_BT = tensor(case.mask_BTS), tensor(case.positions_BT)
        if case.segments_BT is not None:
            segments_BT = tensor(case.segments_BT)
            mask_BTS = torch_masks.from_segments(segments_BT)
            positions_BT = torch_masks.positions_from_segments(segments_BT)
        given = {"tokens_BT": tensor(case.tokens_BT), "token_types_BT": tensor(case.token_types_BT)}
        return given | {"mask_BTS": mask_BTS, "positions_BT": positions_BT, "keeps": self._keeps}

    def batch(self) -> Batch:
        """The case as training has it: without token types, with positions by segments."""
        case, targets = self.case, self.targets
        assert case.segments_BT is not None, "training has rows by segments"
        assert targets is not None, "only a case with targets can be trained on"
        positions_BT = np.asarray(jax_masks.positions_from_segments(jnp.asarray(case.segments_BT)))
        return Batch(case.tokens_BT, case.segments_BT, positions_BT, *targets)

    @functools.cached_property
    def _keeps(self) -> torch_ref.EncoderKeeps | None:
        return None if self.key is None else keeps_of(self.key, self.form.config, self.case.tokens_BT.shape)


def keeps_of(
    key: jax.Array, config: EncoderConfig, shape_BT: tuple[int, ...], draw: Any = drawn_masks
) -> torch_ref.EncoderKeeps:
    """What dropout keeps in the reference: what our side draws from the key; `draw` may be `drawn_masks` compiled."""
    B, T = shape_BT
    with running("JAX"):
        embedding, layers = draw(config, (B, T), key)
    return torch_ref.EncoderKeeps(
        tensor(embedding), tuple(torch_ref.LayerKeeps(*map(tensor, layer)) for layer in layers)
    )


def _targets(case: Case, config: EncoderConfig, rng: np.random.Generator) -> Targets:
    """Columns in no order, without a double."""
    B, T = case.tokens_BT.shape
    targets_BK = rng.permuted(np.tile(np.arange(T, dtype=np.int32), (B, 1)), axis=1)[:, :TARGETS]
    seen_BK = np.take_along_axis(case.seen_BS, targets_BK, axis=1)
    weights_BK = seen_BK & (rng.random(targets_BK.shape) < 0.9)
    weights_BK[0] = seen_BK[0]  # never nothing at all: row 0 of every case has tokens
    labels_BK = rng.integers(0, config.vocab_size, targets_BK.shape, np.int32)
    return Targets(targets_BK, labels_BK, weights_BK.astype(np.float64))


def tensor(array: Any) -> Any:
    """A copy in torch; None stays None."""
    return None if array is None else torch.from_numpy(np.array(array))


def array(tensor: torch.Tensor) -> np.ndarray:
    """A copy in numpy."""
    return tensor.detach().numpy().copy()
