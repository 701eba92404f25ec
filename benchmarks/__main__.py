"""`python -m benchmarks`."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from benchmarks.bits import Bits
from benchmarks.compile import Compile
from benchmarks.encode import Encode
from benchmarks.gpu.command import Gpu
from benchmarks.parity import Parity
from benchmarks.report import Report
from benchmarks.scaling.command import Scaling
from benchmarks.train.command import Train
from jax_encoder.errors import InputError

COMMANDS: dict[str, Callable[..., Any]] = {
    "train": Train,
    "encode": Encode,
    "bits": Bits,
    "parity": Parity,
    "compile": Compile,
    "gpu": Gpu,
    "scaling": Scaling,
    "report": Report,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one measurement; returns 0, or 2 for what cannot be measured here."""
    command = tyro.extras.subcommand_cli_from_dict(
        COMMANDS, args=arguments, prog="python -m benchmarks", config=(tyro.conf.OmitArgPrefixes,)
    )
    try:
        return command.run()
    except InputError as error:
        print(f"python -m benchmarks: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
