"""Our encoder as programs: compiled as it is deployed, traced to be cut at its values, and as training runs it."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jax_encoder.model import MaskedLM
from jax_encoder.params import Shapes, named, nested, params_of, shapes, with_params
from parity.encoder.bugs.model import Patch
from parity.encoder.form import Form
from parity.encoder.inputs import Inputs
from parity.encoder.sides import RUN_AS_TRAINED, JaxInputs, jax_side, run_jax, run_jax_compiled
from parity.graph import jax_graph
from parity.judge.crash import running
from parity.judge.sites import Site, flatten


@dataclasses.dataclass(frozen=True, eq=False)
class JaxProgram:
    """Our side of one form, without its parameters: as it is deployed, and spelled out to be cut.

    Attributes:
        form: of the model.
        patch: a mistake in our code.
        whole: whether the graph is compiled as one program from its first case on. Otherwise the first case of a shape
            goes equation by equation, which pays where every operation has been compiled by some other encoder.
    """

    form: Form
    patch: Patch = dataclasses.field(default_factory=Patch)
    whole: bool = True
    _graphs: dict[Any, jax_graph.Graph] = dataclasses.field(default_factory=dict, init=False)

    @functools.cached_property
    def _model(self) -> Any:
        return jax_side(self.form)

    @functools.cached_property
    def _deployed(self) -> Any:
        return nnx.graphdef(self._model)

    @functools.cached_property
    def _spelled_out(self) -> Any:
        config = dataclasses.replace(self.form.config, scan_layers=False)
        return nnx.graphdef(jax_side(self.form._replace(config=config)))

    @functools.cached_property
    def _language_model(self) -> Any:
        places = {"dtype": jnp.float64, "param_dtype": jnp.float64}
        return nnx.graphdef(nnx.eval_shape(lambda: MaskedLM(self.form.config, rngs=nnx.Rngs(0), **places)))

    @functools.cached_property
    def shapes(self) -> Shapes:
        """Of every parameter."""
        with running("JAX"):
            return shapes(named(params_of(self._model)))

    def values(self, params: jax_graph.Params, inputs: JaxInputs) -> tuple[Site, ...]:
        """Every value, by the program in the form that the config asks for."""
        with running("JAX", lambda: self.graph(params, inputs).reached(params, inputs)):
            if self.patch:
                return sites(self.graph(params, inputs).replay(params, inputs, {}))
            return flatten(run_jax_compiled(self._deployed, nested(params), inputs))

    def graph(self, params: jax_graph.Params, inputs: JaxInputs) -> jax_graph.Graph:
        """The same program with its layers spelled out, to be cut at its values; traced once for inputs of a shape."""
        leaves, form = jax.tree.flatten(inputs)
        settings: Any = jax.config
        key = (settings.jax_default_matmul_precision, form, *((leaf.shape, leaf.dtype) for leaf in leaves))
        if key not in self._graphs:
            with running("JAX"), self.patch.active():
                self._graphs[key] = jax_graph.trace(
                    lambda params, inputs: run_jax(with_params(self._spelled_out, nested(params)), inputs),
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
        lm = {part: tree for part, tree in nested(params).items() if part in ("encoder", "head")}
        trained = not (self.form.pooler or self.form.classifier)
        with running("JAX"):
            done = RUN_AS_TRAINED[trained](self._language_model, lm, inputs.batch(), inputs.key)
            loss, grads = jax.block_until_ready(done)
        return loss, named(grads)


@functools.lru_cache(maxsize=4)
def program_of(form: Form, whole: bool) -> JaxProgram:
    """Our side, traced and compiled once for all parameters."""
    return JaxProgram(form, whole=whole)


def sites(values: Mapping[str, Any]) -> tuple[Site, ...]:
    """Named arrays of JAX as sites."""
    return tuple(Site(name, np.asarray(value)) for name, value in values.items())
