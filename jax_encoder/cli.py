"""The command line: `jax-encoder --help`, or `python -m jax_encoder --help`."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import tyro

from jax_encoder.commands import train
from jax_encoder.commands.called import called_as
from jax_encoder.commands.encode import Encode
from jax_encoder.commands.fill_mask import FillMask
from jax_encoder.data.prepared.config import PrepareConfig
from jax_encoder.errors import InputError
from jax_encoder.training.config import PretrainConfig


def _commands(defaults: PretrainConfig) -> Any:
    return (
        Annotated[PrepareConfig, tyro.conf.subcommand("prepare")]
        | Annotated[PretrainConfig, tyro.conf.subcommand("train", default=defaults)]
        | Annotated[train.Resume, tyro.conf.subcommand("resume")]
        | Annotated[train.Export, tyro.conf.subcommand("export")]
        | Annotated[train.Replay, tyro.conf.subcommand("replay")]
        | Annotated[tyro.conf.FlagCreatePairsOff[Encode], tyro.conf.subcommand("encode")]
        | Annotated[tyro.conf.FlagCreatePairsOff[FillMask], tyro.conf.subcommand("fill-mask")]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns 0, 1 for a training or parity failure, 2 for bad input, 130 for Ctrl-C.

    Args:
        arguments: of the command line; None takes the process's own.
    """
    command, program = parse(arguments), called_as()
    if isinstance(command, PretrainConfig | train.Training):
        return train.execute(command, program)
    try:
        return command.run()
    except InputError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{program}: stopped; nothing was written", file=sys.stderr)
        return 130


def parse(arguments: Sequence[str] | None = None) -> PretrainConfig | train.Training | Encode | FillMask:
    """The command that the arguments ask for; prints help or what is wrong, and exits, if they ask for none."""

    def read(defaults: PretrainConfig) -> PretrainConfig | train.Training | Encode | FillMask:
        return tyro.cli(
            _commands(defaults),
            args=arguments,
            prog=called_as(),
            description="Trains transformer encoders on text, in JAX, and uses published ones, without torch.",
            config=(tyro.conf.OmitArgPrefixes,),
        )

    return train.with_recipe(read)
