"""Command line of the harness: `python -m parity --help`, or `jax-encoder-parity --help`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Union

import tyro

from parity.certificate.command import Trained
from parity.certificate.verify import Verify
from parity.check.command import Check
from parity.errors import UsageError
from parity.fuzz.command import Fuzz, Replay
from parity.judge.crash import SideError
from parity.judge.verdict import Verdict
from parity.kernels.command import Kernels
from parity.mesh.command import Mesh
from parity.models.command import Compare
from parity.optimizer.command import Optimizer
from parity.precision.command import Calibrate
from parity.selftest.command import Selftest
from parity.text.command import Text
from parity.training.command import Training

# What a command may miss -> what to install.
PACKAGES = dict.fromkeys(("jax", "flax", "optax", "torch", "hypothesis"), "jax-encoder[parity]") | {
    "transformers": "transformers",
    "sentence_transformers": "sentence-transformers",
}

COMMANDS = {
    "check": Check,
    "compare": Compare,
    "trained": Trained,
    "kernels": Kernels,
    "optimizer": Optimizer,
    "training": Training,
    "mesh": Mesh,
    "text": Text,
    "verify": Verify,
    "selftest": Selftest,
    "fuzz": Fuzz,
    "replay": Replay,
    "calibrate": Calibrate,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0 for PASS, 1 for FAIL or VACUOUS, 2 for a request that cannot be
    carried out, 3 for ERROR, which is a side that raises where it is built or run, 130 for Ctrl-C.

    Args:
        arguments: of the command line; None takes the process's own.
    """
    try:
        return parse(arguments).run()
    except ModuleNotFoundError as error:
        # Every command imports what it needs when it runs, so that --help need not wait for the frameworks.
        if error.name not in PACKAGES:
            raise
        install = f"pip install '{PACKAGES[error.name]}'"
        print(f"{_called_as()}: {error.name} is needed for this: {install}", file=sys.stderr)
        return 2
    except UsageError as error:
        print(f"{_called_as()}: {error}", file=sys.stderr)
        return 2
    except SideError as error:
        # Of a command without a report; the others say it there.
        print(f"{error.crash.traceback}\nparity {Verdict.ERROR}: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print(f"{_called_as()}: stopped", file=sys.stderr)
        return 130


def parse(arguments: Sequence[str] | None = None) -> Any:
    """The command that the arguments ask for; prints help or what is wrong, and exits, if they ask for none."""
    commands = tuple(Annotated[command, tyro.conf.subcommand(name)] for name, command in COMMANDS.items())
    any_of_them: Any = Union[commands]  # noqa: UP007
    return tyro.cli(
        any_of_them,
        args=arguments,
        prog=_called_as(),
        description="Tells whether two encoders, in JAX and PyTorch, are the same function; if not, where they part.",
        config=(tyro.conf.OmitArgPrefixes,),
    )


def _called_as() -> str:
    """What the user typed, without its arguments."""
    stem = Path(sys.argv[0]).stem
    return stem if stem == "jax-encoder-parity" else "python -m parity"
