"""Damages a sound checkpoint in thousands of ways, each of which must be refused or change nothing."""

import resource
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jax_encoder import huggingface
from jax_encoder.errors import InputError
from jax_encoder.huggingface.carry import carry_out
from tests.jax_encoder.huggingface.damages import DAMAGES, one_of
from tests.jax_encoder.huggingface.helpers import CONFIG, WEIGHTS, same


class Fuzzed(NamedTuple):
    """What came of many damaged checkpoints."""

    refused: int
    identical: int
    slowest: float
    grown: int

    def __str__(self) -> str:
        return (
            f"{self.refused} refused, {self.identical} identical, slowest {self.slowest:.2f} s, "
            f"memory grew by {self.grown / 2**20:.0f} MiB"
        )


def fuzz(base: Path, folder: Path, count: int, seed: int) -> Fuzzed:
    """Damages a copy of a sound checkpoint in `count` ways; each must be refused, or loaded as if nothing were.

    Raises:
        AssertionError: other parameters were loaded, or something else than InputError was raised.
    """
    shutil.copytree(base, folder)
    whole = huggingface.load(folder)
    files = {name: (folder / name).read_bytes() for name in (CONFIG, WEIGHTS)}
    before, refused, slowest = _peak(), 0, 0.0
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        # Shapes are traced anew for every config that can be believed, so there are fewer of these.
        name = CONFIG if number % 8 == 0 else WEIGHTS
        damage = one_of(rng, DAMAGES[name])
        (folder / name).write_bytes(damage(files[name], rng))
        started = time.perf_counter()
        try:
            loaded = huggingface.load(folder)
        except InputError:
            refused += 1
        except BaseException as error:
            raise AssertionError(f"{damage.__name__}, number {number}: {type(error).__name__}: {error}") from error
        else:
            # Other sizes may be another way to cut the same tensors, so those of the file are compared.
            pairs = [(loaded.params, whole.params)] if name == WEIGHTS else [(_written(loaded), _written(whole))]
            for one, other in pairs:
                assert sorted(one) == sorted(other), f"{damage.__name__}, number {number}"
                assert all(same(one[each], other[each]) for each in one), f"{damage.__name__}, number {number}"
        slowest = max(slowest, time.perf_counter() - started)
        (folder / name).write_bytes(files[name])
    return Fuzzed(refused, count - refused, slowest, _peak() - before)


def _written(checkpoint: huggingface.Checkpoint) -> dict[str, np.ndarray]:
    family = huggingface.FAMILIES[checkpoint.family]
    head = family.heads[checkpoint.architecture.removeprefix(family.classes[0])]
    return carry_out(checkpoint.params, family, checkpoint.config, head, checkpoint.parts, checkpoint.form)


def _peak() -> int:
    """The most memory this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
