"""What the command line checks: our encoder against the reference, in all its variants."""

import contextlib
import dataclasses
import platform
from collections.abc import Mapping, Sequence

import jax
import torch

from parity.cases.case import Sizes
from parity.encoder.draws import check_draws
from parity.encoder.form import Form
from parity.encoder.pair import Pair
from parity.encoder.preflight import preflight
from parity.encoder.session import in_float64
from parity.encoder.variants import presets, sizes_of, variants
from parity.judge.verdict import Run, Setting


@dataclasses.dataclass(frozen=True)
class EncoderVariant:
    """One form to check."""

    form: Form
    by_default: bool = True

    @property
    def sizes(self) -> Sizes:
        return sizes_of(self.form.config)

    def build(self) -> Pair:
        return Pair.build(self.form)

    def draws(self, name: str) -> Run | None:
        return check_draws(name, self.form.config) if self.form.drops else None


class EncoderSubject:
    """Our encoder against the reference."""

    name = "jax_encoder against torch_ref"

    def variants(self) -> dict[str, EncoderVariant]:
        matrix = {name: EncoderVariant(form) for name, form in variants().items()}
        return matrix | {name: EncoderVariant(form, by_default=False) for name, form in presets().items()}

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

    def session(self) -> contextlib.AbstractContextManager[None]:
        return in_float64()


def subject() -> EncoderSubject:
    """What the command line checks."""
    return EncoderSubject()
