"""Our encoder as programs: compiled as it is deployed, traced to be cut at its values, and as training runs it."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx

from jax_encoder.config import EncoderConfig
from parity.encoder.bugs.model import Patch
from parity.encoder.inputs import Inputs
from parity.encoder.sides import RUN_AS_TRAINED, JaxInputs, JaxSide, run_jax, run_jax_compiled
from parity.graph import jax_graph
from parity.judge.sites import Site, flatten


@dataclasses.dataclass(frozen=True, eq=False)
class JaxProgram:
    """Our side of one config, without its parameters: as it is deployed, and spelled out to be cut.

    Attributes:
        config: of the encoder.
        pooler: whether BERT's pooler stands on it.
        patch: a mistake in our code.
        whole: whether the graph is compiled as one program from its first case on. Otherwise the first case of a shape
            goes equation by equation, which pays where every operation has been compiled by some other encoder.
    """

    config: EncoderConfig
    pooler: bool
    patch: Patch = dataclasses.field(default_factory=Patch)
    whole: bool = True
    _graphs: dict[Any, jax_graph.Graph] = dataclasses.field(default_factory=dict, init=False)

    @functools.cached_property
    def _split(self) -> tuple[Any, Any]:
        graphdef, state = nnx.split(nnx.eval_shape(lambda: JaxSide(self.config, pooler=self.pooler)))
        return graphdef, nnx.to_flat_state(state)

    @functools.cached_property
    def _spelled_out(self) -> Any:
        config = dataclasses.replace(self.config, scan_layers=False)
        return nnx.graphdef(nnx.eval_shape(lambda: JaxSide(config, pooler=self.pooler)))

    @functools.cached_property
    def _language_model(self) -> Any:
        return nnx.graphdef(nnx.eval_shape(lambda: JaxSide(self.config, pooler=False)).lm)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of every parameter."""
        return {".".join(map(str, path)): leaf.shape for path, leaf in self._split[1]}

    def state(self, params: Mapping[str, Any]) -> Any:
        """The parameters as flax takes them."""
        leaves = [(path, leaf.replace(params[".".join(map(str, path))])) for path, leaf in self._split[1]]
        return nnx.from_flat_state(leaves)

    def values(self, params: jax_graph.Params, inputs: JaxInputs) -> tuple[Site, ...]:
        """Every value, by the program in the form that the config asks for."""
        if self.patch:
            return sites(self.graph(params, inputs).replay(params, inputs, {}))
        return flatten(run_jax_compiled(self._split[0], self.state(params), inputs))

    def graph(self, params: jax_graph.Params, inputs: JaxInputs) -> jax_graph.Graph:
        """The same program with its layers spelled out, to be cut at its values; traced once for inputs of a shape."""
        leaves, form = jax.tree.flatten(inputs)
        settings: Any = jax.config
        key = (settings.jax_default_matmul_precision, form, *((leaf.shape, leaf.dtype) for leaf in leaves))
        if key not in self._graphs:
            with self.patch.active():
                self._graphs[key] = jax_graph.trace(
                    lambda params, inputs: run_jax(nnx.merge(self._spelled_out, self.state(params)), inputs),
                    params,
                    inputs,
                )
            if self.whole:
                self._graphs[key] = self._graphs[key].compiled()
        elif not self.patch:  # a second case: from now on it pays to compile
            self._graphs[key] = self._graphs[key].compiled()
        return self._graphs[key]

    def as_trained(self, params: jax_graph.Params, inputs: Inputs) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Loss and gradients of the program that training runs."""
        lm = nnx.to_pure_dict(self.state(params)["lm"])
        loss, grads = RUN_AS_TRAINED[not self.pooler](self._language_model, lm, inputs.batch(), inputs.key)
        named = jax.tree_util.tree_leaves_with_path(grads)
        return loss, {"lm." + jax.tree_util.keystr(path, simple=True, separator="."): grad for path, grad in named}


@functools.lru_cache(maxsize=4)
def program_of(config: EncoderConfig, pooler: bool, whole: bool) -> JaxProgram:
    """Our side, traced and compiled once for all parameters."""
    return JaxProgram(config, pooler, whole=whole)


def sites(values: Mapping[str, Any]) -> tuple[Site, ...]:
    """Named arrays of JAX as sites."""
    return tuple(Site(name, np.asarray(value)) for name, value in values.items())
