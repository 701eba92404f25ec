"""What the command line checks: our encoder against the reference, in all its variants."""

import contextlib
import dataclasses
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import torch

from jax_encoder.config import EncoderConfig
from parity.cases import CASE_NAMES, Sizes
from parity.encoder.pair import Pair
from parity.encoder.precision import precision_runs
from parity.encoder.preflight import preflight
from parity.encoder.variants import presets, sizes_of, variants
from parity.verdict import PrecisionRun, Setting


@dataclasses.dataclass(frozen=True)
class EncoderVariant:
    """One encoder form to check."""

    config: EncoderConfig
    by_default: bool = True

    @property
    def sizes(self) -> Sizes:
        return sizes_of(self.config)

    def build(self) -> Pair:
        return Pair.build(self.config)


class EncoderSubject:
    """Our encoder against the reference."""

    name = "jax_encoder against torch_ref"

    def variants(self) -> dict[str, EncoderVariant]:
        matrix = {name: EncoderVariant(config) for name, config in variants().items()}
        return matrix | {name: EncoderVariant(config, by_default=False) for name, config in presets().items()}

    def environment(self) -> Mapping[str, str]:
        return {
            "python": platform.python_version(),
            "jax": jax.__version__,
            "torch": torch.__version__,
            "device": jax.devices()[0].device_kind,
            "dtype": "float64",
        }

    def preflight(self, dtypes: Sequence[str]) -> tuple[Setting, ...]:
        return preflight(tuple(dtypes))

    def precision(
        self,
        variants: Sequence[str],
        cases: Sequence[str],
        dtypes: Sequence[str],
        progress: Callable[[str, str], object],
    ) -> tuple[PrecisionRun, ...]:
        known = self.variants()
        return precision_runs({name: known[name].config for name in variants}, cases, dtypes, progress)

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


CASES = CASE_NAMES
