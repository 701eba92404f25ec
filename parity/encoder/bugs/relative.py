"""Mistakes in what distances add to the scores: disentangled attention, and biases without parameters."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import torch
from torch import Tensor, nn

import jax_encoder.attention
import jax_encoder.disentangled
import jax_encoder.encoder
import jax_encoder.relative
import torch_ref.attention
import torch_ref.disentangled
from jax_encoder.config import EncoderConfig
from parity.cases.case import LEAST_LENGTH
from parity.encoder.bugs import applies
from parity.encoder.bugs.model import JaxPlot, ModelBug, Patch, Plant
from parity.encoder.bugs.plant import every, patched, wrapped
from torch_ref.attention import Attention
from torch_ref.disentangled import RelativeEmbedding
from torch_ref.relative import LinearBias

_TO_POSITION, _TO_CONTENT = "content_to_position", "position_to_content"
_DISENTANGLED = applies.has(relative_kind="disentangled")
_LINEAR = applies.has(relative_kind="linear")
# That all cases have.
_DISTANCES = np.arange(1 - LEAST_LENGTH, LEAST_LENGTH)[None]


def _site(names: str) -> str:
    return rf"layers\.\d+\.attention\.({names})"


_PARTS = _site(rf"relative\.({_TO_POSITION}|{_TO_CONTENT})")


def _other_row(change: Any) -> tuple[Plant, Plant]:
    """Another row for a distance, by a function of (the right way, distances, count, max_distance)."""

    def around(plain: Any) -> Any:
        return lambda *given: change(plain, *given)

    return wrapped(torch_ref.disentangled, "row", around), wrapped(jax_encoder.disentangled, "rows", around)


def _reversed(plain: Any, distances: Any, count: int, max_distance: int) -> Any:
    return plain(-distances, count, max_distance)


def _one_too_far(plain: Any, distances: Any, count: int, max_distance: int) -> Any:
    """Whoever rounds the logarithm down, or leaves a range without its end, has every long range begin one later."""
    return plain(distances - (abs(distances) > count // 4) * _sign(distances), count, max_distance)


def _never_longer(plain: Any, distances: Any, count: int, max_distance: int) -> Any:
    return (distances + count // 2).clip(0, count - 1)


def _sign(distances: Any) -> Any:
    return (distances > 0) * 1 - (distances < 0) * 1


def _shows(change: Any) -> applies.Applies:
    """Distances that all cases have get other rows."""

    def other(config: EncoderConfig) -> bool:
        if config.relative_kind != "disentangled":
            return False
        table = config.relative_buckets, config.relative_max_distance
        right = jax_encoder.disentangled.rows
        return bool((change(right, _DISTANCES, *table) != right(_DISTANCES, *table)).any())

    return applies.on(other)


def _row_bug(name: str, mistake: str, change: Any) -> ModelBug:
    plant, in_jax = _other_row(change)
    return ModelBug(
        name=name,
        mistake=mistake,
        where=_PARTS,
        plant=plant,
        in_jax=in_jax,
        variant="disentangled",
        first=rf"layers\.0\.attention\.relative\.{_TO_POSITION}",
        applies=_shows(change),
    )


def _compared(change: Any) -> tuple[Plant, Plant]:
    """Other scores by distance, by a function of (what makes them, position queries, position keys, rows)."""

    def around(plain: Any) -> Any:
        def compare(contents: Any, positions: Any, row: Any, divisor: float) -> Any:
            taps = change(lambda query, key, row: plain(contents, (query, key), row, divisor), *positions, row)
            return taps._replace(position_query=positions[0], position_key=positions[1])

        return compare

    def our_around(plain: Any) -> Any:
        def scores(query: Any, key: Any, ours: Any, others: Any, rows: Any, scale: float) -> Any:
            taps = change(lambda one, other, rows: plain(query, key, one, other, rows, scale), ours, others, rows)
            return taps._replace(position_query=jnp.moveaxis(ours, 0, 1), position_key=jnp.moveaxis(others, 0, 1))

        return scores

    return (
        wrapped(torch_ref.attention, "compare", around),
        wrapped(jax_encoder.attention, "position_scores", our_around),
    )


def _exchanged(made: Any, query: Any, key: Any, row: Any) -> Any:
    return made(key, query, row)


def _reversed_for_keys(made: Any, query: Any, key: Any, row: Any) -> Any:
    return made(query, key, row)._replace(position_to_content=made(query, key, row.T).position_to_content)


def _keys_by_queries(made: Any, query: Any, key: Any, row: Any) -> Any:
    taps = made(query, key, row)
    return taps._replace(position_to_content=taps.position_to_content.swapaxes(2, 3))


def _without(part: str) -> Any:
    def change(made: Any, query: Any, key: Any, row: Any) -> Any:
        taps = made(query, key, row)
        return taps._replace(**{part: getattr(taps, part) * 0})

    return change


def _part_bug(name: str, mistake: str, part: str, change: Any) -> ModelBug:
    plant, in_jax = _compared(change)
    where = _site(rf"relative\.({part})")
    first = _site(rf"relative\.({part.partition('|')[0]})").replace(r"\d+", "0")
    options: dict[str, Any] = {"variant": "disentangled", "first": first, "applies": _DISENTANGLED}
    return ModelBug(name=name, mistake=mistake, where=where, plant=plant, in_jax=in_jax, **options)


def _as_one_product(model: nn.Module, _: Patch) -> None:
    for attention in every(model, Attention):
        attention.divisor = attention.divisor / 3**0.5


def _our_as_one_product(_: JaxPlot, patch: Patch) -> None:
    ours: Any = jax_encoder.attention
    scores, parts = ours.Attention._scores, ours.position_scores
    patch.set(ours.Attention, "_scores", lambda self, query, key: scores(self, query, key) * 3**0.5)
    patch.set(ours, "position_scores", lambda *given: parts(*given[:-1], given[-1] * 3**0.5))


def _norm_missing(model: nn.Module, _: Patch) -> None:
    for embedding in every(model, RelativeEmbedding):
        embedding.norm = nn.Identity()


def _our_norm_missing(_: JaxPlot, patch: Patch) -> None:
    ours: Any = jax_encoder.disentangled.RelativeEmbedding
    plain = ours.__call__
    # Adding 0 makes another array: a value of its own, as the norm makes one.
    patch.set(
        ours,
        "__call__",
        lambda self, count: plain(self, count)._replace(embedding=self.table[...].astype(self.dtype) + 0),
    )


def _projections_ignored(model: nn.Module, _: Patch) -> None:
    for attention in every(model, Attention):
        attention.position_query.load_state_dict(attention.query.state_dict())
        attention.position_key.load_state_dict(attention.key.state_dict())


def _our_projections_ignored(plot: JaxPlot, _: Patch) -> None:
    for name in [name for name in plot.params if ".attention.position_" in name]:
        plot.params[name] = plot.params[name.replace(".attention.position_", ".attention.")]


def _projections_exchanged(model: nn.Module, _: Patch) -> None:
    for attention in every(model, Attention):
        attention.position_query, attention.position_key = attention.position_key, attention.position_query


def _in_one_sequence(num_heads: int) -> np.ndarray:
    """As if any number of heads were a power of two."""
    return 2.0 ** (-8 * np.arange(1, num_heads + 1) / num_heads)


def _one_sequence(model: nn.Module, _: Patch) -> None:
    for bias in every(model, LinearBias):
        bias.slopes = _in_one_sequence(len(bias.slopes)).tolist()


def _causal(self: Any, like: Tensor) -> Tensor:
    column_T = torch.arange(like.shape[1], dtype=torch.float64)
    return torch.tensor(self.slopes, dtype=torch.float64)[:, None, None] * (column_T - column_T[:, None])


def _our_causal(num_heads: int, count: int, dtype: Any) -> Any:
    column_T = jnp.arange(count, dtype=dtype)
    slopes_N = jnp.asarray(jax_encoder.relative.slopes(num_heads), dtype)
    return slopes_N[:, None, None] * (column_T[None, :] - column_T[:, None])[None]


def _linear_bug(name: str, mistake: str, plants: tuple[Plant, Plant], needs: applies.Applies = _LINEAR) -> ModelBug:
    plant, in_jax = plants
    options: dict[str, Any] = {"variant": "alibi", "applies": needs}
    return ModelBug(name=name, mistake=mistake, where="relative_bias", plant=plant, in_jax=in_jax, **options)


RELATIVE_BUGS = (
    _part_bug(
        "disentangled-exchanged",
        "content scored against position queries where it is against position keys, and the reverse",
        f"{_TO_POSITION}|{_TO_CONTENT}",
        _exchanged,
    ),
    _part_bug(
        "position-to-content-reversed",
        "position to content looked up by distance of query less key instead of key less query",
        _TO_CONTENT,
        _reversed_for_keys,
    ),
    _part_bug(
        "position-to-content-not-transposed",
        "position to content left as keys by queries",
        _TO_CONTENT,
        _keys_by_queries,
    ),
    _part_bug("position-to-content-missing", "no scores of position to content", _TO_CONTENT, _without(_TO_CONTENT)),
    _part_bug("content-to-position-missing", "no scores of content to position", _TO_POSITION, _without(_TO_POSITION)),
    _row_bug("disentangled-reversed", "distance of key less query for query less key", _reversed),
    _row_bug("disentangled-range-off-by-one", "ranges of distances that begin one distance late", _one_too_far),
    _row_bug("disentangled-linear", "a row for every distance instead of ranges that grow", _never_longer),
    ModelBug(
        name="disentangled-scale",
        mistake="scores of three products scaled as one: by 1/sqrt(H) for 1/sqrt(3H)",
        where=_site(rf"scores|relative\.({_TO_POSITION}|{_TO_CONTENT})"),
        plant=_as_one_product,
        in_jax=_our_as_one_product,
        variant="disentangled",
        first=rf"layers\.0\.attention\.relative\.{_TO_POSITION}",
        applies=applies.every(_DISENTANGLED, applies.has(scale_scores=True)),
    ),
    ModelBug(
        name="relative-norm-missing",
        mistake="the norm of the relative embeddings left out",
        where="relative_embedding",
        plant=_norm_missing,
        in_jax=_our_norm_missing,
        variant="disentangled",
        applies=applies.has(relative_norm=True),
    ),
    ModelBug(
        name="relative-projections-ignored",
        mistake="distances put through the projections of the content instead of their own",
        where=_site(r"relative\.position_(query|key)"),
        plant=_projections_ignored,
        in_jax=_our_projections_ignored,
        variant="disentangled-pre",
        first=r"layers\.0\.attention\.relative\.position_query",
        applies=applies.has(relative_projections=True),
    ),
    ModelBug(
        name="relative-projections-exchanged",
        mistake="the distances' query projection used for their keys, and the reverse",
        where=_site(r"relative\.position_(query|key)"),
        plant=_projections_exchanged,
        in_jax=lambda plot, _: plot.swap(".attention.position_query.", ".attention.position_key."),
        variant="disentangled-windows",
        first=r"layers\.0\.attention\.relative\.position_query",
        applies=applies.every(applies.has(relative_projections=True), applies.own_keys),
    ),
    _linear_bug(
        "linear-causal",
        "a linear bias that grows for keys behind the query, as in a decoder",
        (patched(LinearBias, "forward", _causal), patched(jax_encoder.encoder, "linear_bias", _our_causal)),
    ),
    _linear_bug(
        "linear-one-sequence",
        "slopes of a linear bias in one sequence where the heads are no power of two",
        (_one_sequence, patched(jax_encoder.relative, "slopes", _in_one_sequence)),
        applies.every(_LINEAR, applies.on(lambda config: config.num_heads & (config.num_heads - 1) != 0)),
    ),
    _linear_bug(
        "linear-bias-missing",
        "no linear bias",
        (
            wrapped(LinearBias, "forward", lambda plain: lambda self, like: plain(self, like) * 0),
            wrapped(jax_encoder.encoder, "linear_bias", lambda plain: lambda *given: plain(*given) * 0),
        ),
    ),
)
