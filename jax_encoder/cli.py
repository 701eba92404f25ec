"""Use of published checkpoints from the command line: `python -m jax_encoder --help`."""

import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from jax_encoder.commands.encode import Encode
from jax_encoder.commands.fill_mask import FillMask
from jax_encoder.errors import InputError

Command = Annotated[Encode, tyro.conf.subcommand("encode")] | Annotated[FillMask, tyro.conf.subcommand("fill-mask")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns 0, or 2 for bad input, or 130 for Ctrl-C.

    Args:
        arguments: of the command line; None takes the process's own.
    """
    command = tyro.cli(
        Command,
        args=arguments,
        prog="python -m jax_encoder",
        description="Uses a published encoder checkpoint, without torch or transformers.",
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
    )
    try:
        return command.run()
    except InputError as error:
        print(f"python -m jax_encoder: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("python -m jax_encoder: stopped; nothing was written", file=sys.stderr)
        return 130
