"""Both encoders with equal parameters, run on a case: what `parity.judge.check` compares."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import torch

from parity.cases import word_table
from parity.cases.case import Case, make_case
from parity.cases.randomise import randomise
from parity.encoder import backward
from parity.encoder.bugs.model import JaxPlot, ModelBug, Patch
from parity.encoder.diagnose import Cotangents, Evidence, copy_of, explain
from parity.encoder.form import Form
from parity.encoder.inputs import Inputs, array, tensor
from parity.encoder.our_run import OurRun
from parity.encoder.program import JaxProgram, program_of, sites
from parity.encoder.sides import (
    LOSSES,
    JaxInputs,
    TorchSide,
    planted,
    run_torch,
    run_torch_as_trained,
)
from parity.encoder.table import Table, match
from parity.encoder.variants import sizes_of
from parity.encoder.weights import axes_of, draws, rows
from parity.errors import MismatchError
from parity.graph import jax_graph, programs
from parity.judge.check import compare_trace
from parity.judge.compare import Comparison
from parity.judge.crash import running
from parity.judge.locate import feedable
from parity.judge.relations import FEW
from parity.judge.sites import Site, leaves, paths
from parity.judge.subject import Difference, Part, Structure, Trace
from parity.judge.verdict import Explanation

# Parts of a model that pretraining trains.
TRAINED = ("encoder.", "head.")
# What is weighed and summed to be pulled back.
OUTPUTS = ("output", "head.logits", "pooler.output", "classifier.logits", "mean_pool")
WORD, TORCH_WORD = "encoder.embedding.word", "encoder.embedding.word.weight"
Params = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Pair:
    """Both sides of one form with equal parameters."""

    form: Form
    jax: JaxProgram
    torch_model: TorchSide
    table: Table
    params: Params
    ours: Params  # our side's: the same, unless a mistake was made in them
    keep: bool = False
    _last: dict[Case, OurRun] = dataclasses.field(default_factory=dict)

    @classmethod
    def build(
        cls,
        form: Form,
        trained: Mapping[str, np.ndarray] | None = None,
        seed: int = 0,
        *,
        whole: bool = True,
        keep: bool = False,
    ) -> "Pair":
        """Draws every parameter at random, or takes trained ones, and carries them to torch.

        Args:
            form: of both.
            trained: our parameters; None draws them.
            seed: of what is drawn.
            whole: see `JaxProgram`.
            keep: whether our side's run on the last case is kept, for the next mistake that is made in the reference.

        Raises:
            MismatchError: parameters are not one to one, do not survive the round trip, or are not finite.
        """
        program, config = program_of(form, whole), form.config
        with running("torch"):
            torch_model = TorchSide(form).double().eval()
        shapes = {name: tuple(p.shape) for name, p in torch_model.state_dict().items()}
        table = match(rows(config), program.shapes, shapes)
        params = randomise(program.shapes, draws(config), seed) if trained is None else dict(trained)
        table.check_round_trip(params)
        _require_finite(params)
        pair = cls(form, program, torch_model, table, params, params, keep)
        pair.load(torch_model)
        return pair

    def load(self, torch_model: TorchSide) -> None:
        """Gives a reference the parameters of this pair."""
        torch_params = {name: torch.from_numpy(array) for name, array in self.table.to_torch(self.params).items()}
        torch_model.load_state_dict(torch_params, strict=True)

    def with_torch(self, torch_model: TorchSide) -> "Pair":
        """The same with another reference, to see whether a mistake in it is found."""
        return dataclasses.replace(self, torch_model=torch_model)

    def with_bug(self, bug: ModelBug, side: str) -> "Pair":
        """The same with a mistake made in the reference ("torch") or in ours ("JAX")."""
        if side == "torch":
            return self.with_torch(planted(copy_of(self.torch_model), bug))
        assert bug.in_jax is not None, f"{bug.name} has no form in JAX"
        plot, patch = JaxPlot(self.form, dict(self.params)), Patch()
        bug.in_jax(plot, patch)
        same = plot.form == self.form and not patch
        program = self.jax if same else JaxProgram(plot.form, patch, self.jax.whole)
        return dataclasses.replace(self, jax=program, ours=plot.params, _last={})

    def compare(self, case: str) -> tuple[Comparison, ...]:
        """Runs one case, by name."""
        return compare_trace(self(make_case(case, sizes_of(self.form.config)))).comparisons

    def __call__(self, case: Case) -> Trace:
        """Runs both sides on one case."""
        programs.give_back()
        run = self._last.get(case)
        if run is None:
            run = self._our_run(case)
            self._last.clear()
            if self.keep:
                self._last[case] = run
        return _Tracing(self, run).trace()

    def _our_run(self, case: Case) -> OurRun:
        inputs = Inputs.of(case, self.form)
        params = {name: jnp.asarray(array) for name, array in self.ours.items()}
        inadequate: tuple[str, ...] = ()
        overrides: dict[str, torch.Tensor] = {}
        if case.low_variance or case.poison is not None:
            rest_BTD = self._beside_words(params, inputs)
            word_VD = word_table.prepare(self.ours[WORD], rest_BTD, case, self.form.config.norm_eps)
            inadequate = word_table.inadequacies(word_VD, rest_BTD, case, self.form.config.norm_eps)
            params |= {WORD: jnp.asarray(word_VD)}
            overrides = {TORCH_WORD: tensor(word_VD).requires_grad_()}
        return OurRun(self.jax, inputs, params, overrides, inadequate, self.keep)

    def _beside_words(self, params: jax_graph.Params, inputs: Inputs) -> np.ndarray:
        """What the word embedding is added to, at every position."""
        values = {site.name: site.value for site in self.jax.values(params, JaxInputs.of(inputs))}
        parts = [values[name] for name in ("embedding.position", "embedding.token_type") if name in values]
        return sum(parts, np.zeros(values["embedding.word"].shape))


class _Tracing:
    """One case on both sides: forward, backward under each loss, and as training computes it."""

    def __init__(self, pair: Pair, run: OurRun):
        self.pair, self.run, self.inputs, self.overrides = pair, run, run.inputs, run.overrides
        self.params, self.jax_inputs = run.params, run.jax_inputs
        self.values = self._run_torch()
        self.theirs = {name: array(value) for name, value in self.values.items()}
        self.losses = [loss for loss in LOSSES if loss in self.values]

    def trace(self) -> Trace:
        """All of it, each part computed when it is asked for."""
        return Trace(self._parts(), self.run.inadequate, self.structure)

    @functools.cached_property
    def graph(self) -> jax_graph.Graph:
        """Our program, cut at its values."""
        return self.pair.jax.graph(self.params, self.jax_inputs)

    @property
    def ours(self) -> tuple[Site, ...]:
        """Our values, as the program that is deployed computes them."""
        return self.run.values

    @functools.cached_property
    def given(self) -> jax_graph.Values:
        """The reference's values, as far as they can stand in the place of ours."""
        given = {
            site.name: self.theirs[site.name]
            for site in self.ours
            if site.name in self.theirs and feedable(site.value, self.theirs[site.name])
        }
        return jax.device_put(given)

    @functools.cached_property
    def pull_back(self) -> jax_graph.PullBack:
        """Takes cotangents of any loss back through each stretch of ours, on the reference's values."""
        return self.graph.replay_backward(self.params, self.jax_inputs, self.given)

    @functools.cached_property
    def sound(self) -> TorchSide:
        """A reference without mistakes."""
        sound = TorchSide(self.pair.form).double().eval()
        self.pair.load(sound)
        return sound

    def structure(self) -> Structure:
        """How our values depend on one another."""
        reads = dict(self.graph.reads) | backward.reads(self.graph, self.pair.table, self.losses)
        axes = functools.partial(axes_of, form=self.pair.form)
        return Structure(reads, axes, self.graph.aliases, self.inputs.case.seen_BS)

    def explain(
        self, cotangents: Cotangents | None, differences: Sequence[Difference], differing: Sequence[Difference]
    ) -> list[tuple[Explanation, ...]]:
        """The known mistakes behind each difference; of derivatives, with the reference's cotangents of their loss."""
        evidence = Evidence(self.sound, self.inputs, self.overrides, self.theirs, cotangents)
        named = explain(evidence, differences, differing)
        return [
            one if difference.actual.size >= FEW else self._confirmed(evidence, difference.site, one)
            for difference, one in zip(differences, named, strict=True)
        ]

    def _confirmed(self, evidence: Evidence, loss: str, named: tuple[Explanation, ...]) -> tuple[Explanation, ...]:
        """Those mistakes behind a loss that explain its derivatives, too: one number alone names nothing."""
        if not named or loss not in self.losses:
            return ()
        theirs = backward.of_torch(self.values, loss, {})[0]
        one = backward.Backward(loss, self.graph, self.pair.table)
        own = {site.name: site.value for site in self.ours}
        ours = {site.name: site.value for site in one.replay(lambda: self.pull_back, theirs, own)}
        sites = {backward.name_of(loss, source): source for source in self.graph.reads[loss]}
        derivatives = [Difference(site, ours[site], theirs[source]) for site, source in sites.items() if site in ours]
        evidence = dataclasses.replace(evidence, cotangents=Cotangents(loss, theirs))
        found = explain(evidence, derivatives, derivatives, {one.bug for one in named})
        confirmed = [{(one.bug, one.side) for one in of_one} for of_one in found]
        return tuple(one for one in named if confirmed and all((one.bug, one.side) in each for each in confirmed))

    def _run_torch(self) -> dict[str, torch.Tensor]:
        with running("torch"):
            taps = torch.func.functional_call(self.pair.torch_model, self.overrides, (self.inputs, run_torch))
        return dict(zip(paths(taps), leaves(taps), strict=True))

    def _replayed(self) -> tuple[Site, ...]:
        with running("JAX"):
            return sites(self.graph.replay(self.params, self.jax_inputs, self.given))

    def _parts(self) -> Iterator[Part]:
        expected = tuple(Site(name, value) for name, value in self.theirs.items())
        # The sum of what has either sign may come to nothing: its terms are as large as what they weigh.
        outputs = [self.theirs[name] for name in OUTPUTS if name in self.theirs]
        size = float(np.sqrt(sum(np.square(one).sum() for one in outputs)))
        scales = {"projection": size if np.isfinite(size) else 0.0}
        yield Part(self.ours, expected, self._replayed, scales, functools.partial(self.explain, None))
        own = {site.name: site.value for site in self.ours}
        params = dict(self.pair.torch_model.named_parameters()) | self.overrides
        gradients = self.run.backward(self.losses)
        for loss in self.losses:
            with running("JAX"):
                on_values, on_params = jax.block_until_ready(next(gradients))
            one = backward.Backward(loss, self.graph, self.pair.table)
            theirs = backward.of_torch(self.values, loss, params)
            actual = one.ours(on_values, on_params)
            expected = one.theirs(*theirs)
            again = functools.partial(one.replay, lambda: self.pull_back, theirs[0], own)
            named = functools.partial(self.explain, Cotangents(loss, theirs[0]))
            yield Part(actual, expected, again, one.scales(theirs[0]), named)
            del on_values, on_params, actual, expected, theirs, again, named  # before the next loss's are made
        if self.inputs.as_in_training and not self.pair.jax.patch:
            yield self._as_trained()

    def _as_trained(self) -> Part:
        loss, grads = self.run.as_trained
        rest = {name: jnp.zeros(shape) for name, shape in self.pair.jax.shapes.items() if name not in grads}
        ours = self.pair.table.to_torch({name: np.asarray(grad) for name, grad in (grads | rest).items()})
        model = self.pair.torch_model
        params = {n: param for n, param in model.named_parameters() if n.startswith(TRAINED)} | self.overrides
        with running("torch"):
            total = torch.func.functional_call(model, self.overrides, (self.inputs, run_torch_as_trained))
            theirs = torch.autograd.grad(total, list(params.values()), allow_unused=True, materialize_grads=True)
        expected = {name: array(grad) for name, grad in zip(params, theirs, strict=True)}
        actual = {name: grad for name, grad in ours.items() if name.startswith(TRAINED)}
        name = backward.name_of
        return Part(
            (Site("trained", np.asarray(loss)), *(Site(name("trained", one), grad) for one, grad in actual.items())),
            (
                Site("trained", array(total)),
                *(
                    Site(name("trained", one), expected[one])
                    for one in dict.fromkeys((*actual, *expected))
                    if one in expected
                ),
            ),
            scales={name("trained", one): scale for one, scale in backward.scales_among(expected).items()},
        )


def _require_finite(params: Mapping[str, np.ndarray]) -> None:
    """Refuses parameters that no two programs could agree on.

    Raises:
        MismatchError: NaN or infinities; all parameters that hold some are named.
    """
    counts = {name: int((~np.isfinite(one)).sum()) for name, one in params.items()}
    broken = [f"  {name}: {count:,} of {params[name].size:,} entries" for name, count in counts.items() if count]
    if broken:
        raise MismatchError("\n".join(["the parameters themselves are not finite; nothing can be compared:", *broken]))
