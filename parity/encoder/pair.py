"""Builds both encoders with equal parameters and runs them on a case."""

import contextlib
import dataclasses
import functools
import platform
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx
from jaxtyping import PyTree
from torch import nn

import jax_encoder
import torch_ref
from jax_encoder import dropout
from jax_encoder import masks as jax_masks
from jax_encoder.config import EncoderConfig
from parity import word_table
from parity.cases import Case, Sizes, make_case
from parity.check import compare_trace
from parity.compare import Comparison
from parity.encoder.variants import sizes_of, variants
from parity.encoder.weights import draws, rows
from parity.randomise import randomise
from parity.sites import Site, collect, flatten
from parity.subject import Trace
from parity.weights import match
from torch_ref import masks as torch_masks

WORD = "lm.encoder.embedding.word"


class JaxSide(nnx.Module):
    """Everything of ours that has parameters."""

    def __init__(self, config: EncoderConfig, *, pooler: bool):
        options = {"rngs": nnx.Rngs(0), "dtype": jnp.float64, "param_dtype": jnp.float64}
        self.lm = jax_encoder.MaskedLM(config, **options)
        self.pooler = jax_encoder.Pooler(config, **options) if pooler else None


class TorchSide(nn.Module):
    """Everything of the reference that has parameters."""

    def __init__(self, config: EncoderConfig, *, pooler: bool):
        super().__init__()
        self.lm = torch_ref.MaskedLM(config)
        self.pooler = torch_ref.Pooler(config) if pooler else None


Inputs = dict[str, Any]


# LLVM's passes take most of a check and change no value; the program that training runs, below, is compiled as there.
@functools.partial(jax.jit, static_argnums=0, compiler_options={"xla_backend_optimization_level": 0})
def run_tapped(graphdef: Any, state: PyTree, inputs: Inputs) -> tuple[Any, ...]:
    """Our encoder, heads and pooling, every value kept."""
    side = nnx.merge(graphdef, state)
    output_BTD, taps = side.lm.encoder(**inputs)
    _, head_taps = side.lm.head(output_BTD, side.lm.encoder.embedding.word[...])
    pooler_taps = None if side.pooler is None else side.pooler(output_BTD)[1]
    pooled_BD = jax_encoder.mean_pool(output_BTD, jax_masks.seen(inputs["mask_BTS"]))
    return taps, output_BTD, head_taps, pooler_taps, pooled_BD


@functools.partial(jax.jit, static_argnums=0)
def run_dropped(graphdef: Any, state: PyTree, inputs: Inputs, targets_BK: jax.Array) -> jax.Array:
    """Our model as training runs it: logits at the targets, every other value dropped."""
    return nnx.merge(graphdef, state).lm(**inputs, targets_BK=targets_BK)[0]


def _sites(run: tuple[Any, ...], case: Case) -> tuple[Site, ...]:
    """Names the values of either side's run, in the order computed."""
    taps, output_BTD, head_taps, pooler_taps, pooled_BD = run
    # The decoder is the word table, so a table with a row of NaN has a NaN logit, rightly.
    head = () if case.poison is not None else flatten(head_taps, "head")
    rest = (flatten(pooler_taps, "pooler"), flatten(pooled_BD, "mean_pool"))
    return collect(flatten(taps), flatten(output_BTD, "output"), head, *rest)


@dataclasses.dataclass(frozen=True)
class Pair:
    """Both sides of one encoder with equal parameters."""

    config: EncoderConfig
    graphdef: Any
    variables: Any  # ours, abstract: names and kinds
    params: dict[str, np.ndarray]
    torch_model: TorchSide

    @classmethod
    def build(cls, config: EncoderConfig, trained: Mapping[str, np.ndarray] | None = None) -> "Pair":
        """Draws every parameter at random, or takes trained ones of a `MaskedLM`, and carries them to torch.

        Raises:
            MismatchError: parameters are not one to one, or do not survive the round trip.
        """
        graphdef, state = nnx.split(nnx.eval_shape(lambda: JaxSide(config, pooler=trained is None)))
        variables = nnx.to_flat_state(state)
        shapes = {_name(path): leaf.shape for path, leaf in variables}
        torch_model = TorchSide(config, pooler=trained is None).double().eval()
        table = match(rows(config), shapes, {name: tuple(p.shape) for name, p in torch_model.state_dict().items()})
        params = randomise(shapes, draws(config), seed=0) if trained is None else dict(trained)
        table.check_round_trip(params)
        torch_params = {name: torch.from_numpy(array) for name, array in table.to_torch(params).items()}
        torch_model.load_state_dict(torch_params, strict=True)
        return cls(config, graphdef, variables, params, torch_model)

    def with_torch(self, torch_model: TorchSide) -> "Pair":
        """The same with another reference, to see whether a mistake in it is found."""
        return dataclasses.replace(self, torch_model=torch_model)

    def compare(self, case: str) -> tuple[Comparison, ...]:
        """Runs one case, by name."""
        return compare_trace(self(make_case(case, sizes_of(self.config))))

    def __call__(self, case: Case) -> Trace:
        """Runs both sides on one case."""
        key = jax.random.key(case.tokens_BT.size, impl="rbg") if self.config.residual_dropout else None
        word_VD, inadequate = self.params[WORD], tuple[str, ...]()
        if case.low_variance or case.poison is not None:
            rest_BTD = self._beside_words(case, key)
            word_VD = word_table.prepare(word_VD, rest_BTD, case, self.config.norm_eps)
            inadequate = word_table.inadequacies(word_VD, rest_BTD, case, self.config.norm_eps)
        return Trace(self._run_jax(case, key, word_VD), self._run_torch(case, key, word_VD), inadequate)

    def _state(self, word_VD: np.ndarray) -> PyTree:
        params = self.params | {WORD: word_VD}
        return nnx.from_flat_state(
            [(path, leaf.replace(jnp.asarray(params[_name(path)]))) for path, leaf in self.variables]
        )

    def _beside_words(self, case: Case, key: jax.Array | None) -> np.ndarray:
        """What the word embedding is added to, at every position."""
        embedding = run_tapped(self.graphdef, self._state(self.params[WORD]), _jax_inputs(case, key))[0].embedding
        parts = [np.asarray(part) for part in (embedding.position, embedding.token_type) if part is not None]
        return sum(parts, np.zeros(embedding.word.shape))

    def _run_jax(self, case: Case, key: jax.Array | None, word_VD: np.ndarray) -> tuple[Site, ...]:
        inputs, state = _jax_inputs(case, key), self._state(word_VD)
        sites = _sites(run_tapped(self.graphdef, state, inputs), case)
        if not _as_in_training(case):
            return sites
        logits_BKV = run_dropped(self.graphdef, state, inputs, jnp.asarray(_targets(case)))
        return collect(sites, flatten(logits_BKV, "logits_with_taps_dropped"))

    @torch.no_grad()
    def _run_torch(self, case: Case, key: jax.Array | None, word_VD: np.ndarray) -> tuple[Site, ...]:
        lm, inputs = self.torch_model.lm, _torch_inputs(case, key, self.config)
        prepared = word_VD is not self.params[WORD]
        with _word_table(lm, word_VD) if prepared else contextlib.nullcontext():
            output_BTD, taps = lm.encoder(**inputs)
            _, head_taps = lm.head(output_BTD, lm.encoder.embedding.word.weight)
            pooler_taps = None if self.torch_model.pooler is None else self.torch_model.pooler(output_BTD)[1]
            pooled_BD = torch_ref.mean_pool(output_BTD, torch_masks.seen(inputs["mask_BTS"]))
            sites = _sites((taps, output_BTD, head_taps, pooler_taps, pooled_BD), case)
            if not _as_in_training(case):
                return sites
            logits_BKV, _ = lm(**inputs, targets_BK=torch.from_numpy(_targets(case)))
            return collect(sites, flatten(logits_BKV, "logits_with_taps_dropped"))


def _name(path: tuple[str, ...]) -> str:
    return ".".join(map(str, path))


def _as_in_training(case: Case) -> bool:
    """Whether the program that training runs takes such a case: rows by segments, and a decoder without NaN."""
    return case.segments_BT is not None and case.poison is None


def _targets(case: Case) -> np.ndarray:
    """Three columns a row, in no order."""
    return np.random.default_rng(0).permuted(
        np.tile(np.arange(case.tokens_BT.shape[1]), (len(case.tokens_BT), 1)), axis=1
    )[:, :3]


def _jax_inputs(case: Case, key: jax.Array | None) -> Inputs:
    """The case as our encoder takes it; of packed rows, our own mask and positions."""
    mask_BTS: Any = case.mask_BTS
    positions_BT: Any = case.positions_BT
    if case.segments_BT is not None:
        segments_BT = jnp.asarray(case.segments_BT)
        mask_BTS, positions_BT = jax_masks.from_segments(segments_BT), jax_masks.positions_from_segments(segments_BT)
    given = {
        "tokens_BT": case.tokens_BT,
        "mask_BTS": mask_BTS,
        "positions_BT": positions_BT,
        "token_types_BT": case.token_types_BT,
    }
    return {name: value if value is None else jnp.asarray(value) for name, value in given.items()} | {
        "dropout_key": key
    }


def _torch_inputs(case: Case, key: jax.Array | None, config: EncoderConfig) -> Inputs:
    """The case as the reference takes it, with the dropout masks that our side draws from `key`."""
    mask_BTS, positions_BT = _tensor(case.mask_BTS), _tensor(case.positions_BT)
    if case.segments_BT is not None:
        segments_BT = _tensor(case.segments_BT)
        mask_BTS, positions_BT = (
            torch_masks.from_segments(segments_BT),
            torch_masks.positions_from_segments(segments_BT),
        )
    keeps = None
    if key is not None:
        shape_BTD = (*case.tokens_BT.shape, config.embed_dim)
        layers = [dropout.layer_keeps(key, layer, config, shape_BTD) for layer in range(config.num_layers)]
        keeps = torch_ref.EncoderKeeps(
            _tensor(dropout.embedding_keep(key, config, shape_BTD)),
            tuple(torch_ref.LayerKeeps(*map(_tensor, layer)) for layer in layers),
        )
    given = {"tokens_BT": _tensor(case.tokens_BT), "token_types_BT": _tensor(case.token_types_BT), "keeps": keeps}
    return given | {"mask_BTS": mask_BTS, "positions_BT": positions_BT}


def _tensor(array: Any) -> Any:
    return None if array is None else torch.from_numpy(np.array(array))


@contextlib.contextmanager
def _word_table(lm: torch_ref.MaskedLM, word_VD: np.ndarray) -> Iterator[None]:
    """Lends the reference another word table."""
    weight = lm.encoder.embedding.word.weight
    kept = weight.detach().clone()
    weight.copy_(torch.from_numpy(word_VD))
    try:
        yield
    finally:
        weight.copy_(kept)


@dataclasses.dataclass(frozen=True)
class EncoderVariant:
    """One encoder form to check."""

    config: EncoderConfig

    @property
    def sizes(self) -> Sizes:
        return sizes_of(self.config)

    def build(self) -> Pair:
        return Pair.build(self.config)


class EncoderSubject:
    """Our encoder against the reference, in all its variants."""

    name = "jax_encoder against torch_ref"

    def variants(self) -> Mapping[str, EncoderVariant]:
        return {name: EncoderVariant(config) for name, config in variants().items()}

    def environment(self) -> Mapping[str, str]:
        return {
            "python": platform.python_version(),
            "jax": jax.__version__,
            "torch": torch.__version__,
            "device": jax.devices()[0].device_kind,
            "dtype": "float64",
        }

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """float64 and full-precision products on our side, one thread on the other, for the time of a check."""
        settings = {"jax_enable_x64": True, "jax_default_matmul_precision": "highest"}
        before, threads = {name: getattr(jax.config, name) for name in settings}, torch.get_num_threads()
        for name, value in settings.items():
            jax.config.update(name, value)
        torch.set_num_threads(1)  # the variants are small: more threads cost more than they compute
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            for name, value in before.items():
                jax.config.update(name, value)


def subject() -> EncoderSubject:
    """What the command line checks."""
    return EncoderSubject()
