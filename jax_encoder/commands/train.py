"""Training, of the script train.py and of `jax-encoder`: parse, build, run."""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from jax_encoder.commands import prepare
from jax_encoder.data.files import DiskFullError
from jax_encoder.data.prepared.config import PrepareConfig
from jax_encoder.errors import InputError
from jax_encoder.training.config import PretrainConfig
from jax_encoder.training.launch import Launch
from jax_encoder.training.recipes import pretraining

Parsed = TypeVar("Parsed")


@dataclasses.dataclass(frozen=True)
class Resume:
    """Goes on with a run that was stopped, from its newest whole checkpoint, as if it had never been."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """Folder of the run."""
    mesh: str | None = None
    """How devices share the work from here on, as in `pretrain`, in place of the mesh that the run was begun on: the
    batches are the same, losses equal within rounding."""
    launch: Launch = dataclasses.field(default_factory=Launch)


@dataclasses.dataclass(frozen=True)
class Export:
    """Writes a trained encoder as a folder that transformers and sentence-transformers load."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """Folder of the run."""
    to: Annotated[str, tyro.conf.arg(metavar="DIR")]
    """Folder to make."""
    average: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Write the moving average of the parameters, of a run that was told to keep one, in their place."""


@dataclasses.dataclass(frozen=True)
class Replay:
    """Runs a step again that a run could not go on from, and says where it stops being finite."""

    step: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DIR")]
    """Folder that the run named when it stopped."""


# What starts no new run.
Training = PrepareConfig | Resume | Export | Replay


def _commands(defaults: PretrainConfig) -> Any:
    return (
        Annotated[PrepareConfig, tyro.conf.subcommand("prepare")]
        | Annotated[PretrainConfig, tyro.conf.subcommand("pretrain", default=defaults)]
        | Annotated[Resume, tyro.conf.subcommand("resume")]
        | Annotated[Export, tyro.conf.subcommand("export")]
        | Annotated[Replay, tyro.conf.subcommand("replay")]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command of train.py; returns its exit status.

    Args:
        arguments: of the command line; None takes the process's own.
    """
    return execute(parse(arguments), "train.py")


def parse(arguments: Sequence[str] | None = None) -> PretrainConfig | Training:
    """The command that the arguments ask for; prints help or what is wrong, and exits, if they ask for none."""

    def read(defaults: PretrainConfig) -> PretrainConfig | Training:
        return tyro.cli(
            _commands(defaults),
            args=arguments,
            prog="train.py",
            description="Trains a transformer encoder on text, in JAX, and proves that it is the same in PyTorch.",
            config=(tyro.conf.OmitArgPrefixes,),
        )

    return with_recipe(read)


def with_recipe(read: Callable[[PretrainConfig], Parsed]) -> Parsed:
    """Reads a command with the defaults that its own preset, steps and batch ask for.

    Args:
        read: parses the command line, given what a run's options are if nothing is said of them.
    """
    first = pretraining()
    command = read(first)
    if not isinstance(command, PretrainConfig):
        return command
    preset, recipe = command.model.preset, command.recipe
    # What depends on nothing else is read first, so that steps and batch are those of the recipe or the user's.
    recipe_alone = pretraining(preset, recipe=recipe)
    sized = command if recipe_alone == first else read(recipe_alone)
    assert isinstance(sized, PretrainConfig), "the same arguments are the same command"
    wanted = pretraining(preset, recipe=recipe, steps=sized.steps, batch_size=sized.batch_size)
    return sized if wanted == recipe_alone else read(wanted)


def execute(command: PretrainConfig | Training, program: str) -> int:
    """Runs one command.

    Args:
        command: what to run.
        program: whose name stands before what went wrong.

    Returns:
        0, 1 for a training or parity failure, 2 for bad input, 3 for a parity check that came to no verdict, 4 where
        another process of the run has ended, 128 + the number of the signal that stopped it.
    """
    try:
        return _run(command)
    except InputError as error:
        return _failed(program, str(error), 2)
    except DiskFullError as error:
        return _failed(program, str(error), 1)
    except FloatingPointError as error:
        return _failed(program, str(error), 1)
    except KeyboardInterrupt:
        return _failed(program, "stopped at once; what was done since the last checkpoint is lost", 130)


def _failed(program: str, said: str, status: int) -> int:
    """Says what went wrong; of several processes, this one then ends, and tells the others why."""
    print(f"{program}: {said}", file=sys.stderr)
    if "jax_encoder.training.processes" in sys.modules:
        from jax_encoder.training import processes

        processes.leave(said, status)
    return status


def _run(command: PretrainConfig | Training) -> int:
    if isinstance(command, PrepareConfig):
        return prepare.run(command)
    # Imported here, so that --help and a mistyped option need not wait for JAX.
    from rich.console import Console

    from jax_encoder.memory import keep_memory

    keep_memory()
    console = Console()
    if isinstance(command, Export):
        from jax_encoder.training.export import export_run
        from jax_encoder.training.run_folder import RunFolder

        with RunFolder.keep(Path(command.run), "export"):
            folder = export_run(Path(command.run), Path(command.to), average=command.average)
        console.print(f"wrote {folder}: AutoModelForMaskedLM.from_pretrained({str(folder)!r}) loads it", soft_wrap=True)
        return 0
    if isinstance(command, Replay):
        from jax_encoder.training import dump

        kept = dump.read(Path(command.step))
        console.print("\n".join(dump.described(kept, dump.replay(kept))), highlight=False, markup=False, soft_wrap=True)
        return 0
    return _train(command)


def _train(command: PretrainConfig | Resume) -> int:
    """Begins a run or goes on with one; its folder is this process's until the end."""
    from rich.console import Console

    from jax_encoder.training import processes
    from jax_encoder.training.compilation import keep_programs
    from jax_encoder.training.ending import Ending, name_of, status_of
    from jax_encoder.training.loop import train
    from jax_encoder.training.prepare import prepare as prepare_run
    from jax_encoder.training.run_folder import RunFolder, resume_command
    from jax_encoder.training.session import open_session
    from jax_encoder.training.summary import finish

    run = Path(command.run)
    with Ending() as ending, ExitStack() as held:
        with processes.joined(command.launch, run):
            console = Console(quiet=not processes.leads())
            if isinstance(command, PretrainConfig):
                with ending.at_once("before the first step: nothing is lost, and the same command begins again"):
                    session = prepare_run(command, console, held=held)
            else:
                with ending.at_once(f"before it went on; go on with\n  {resume_command(run)}"):
                    # Of several processes the first has the folder for all.
                    kept = held.enter_context(RunFolder.keep(run, "resume")) if processes.leads() else None
                    session = open_session(kept or RunFolder.open(run), mesh=command.mesh)
                    keep_programs(console)
            outcome = train(session, console, ending)
            leads = processes.leads()
        go_on = f"go on with\n  {resume_command(session.folder.path)}"
        if outcome.stopped_by is not None:
            told = (
                f"stopped by {name_of(outcome.stopped_by)} after step {outcome.step} of {session.config.steps}; {go_on}"
            )
            console.print(told, highlight=False, soft_wrap=True)
            return status_of(outcome.stopped_by)
        if not leads:
            return 0
        with ending.unwinding(f"after the last step: nothing is lost; to see the end of the run, {go_on}"):
            verdict = finish(session.folder, console, check_parity=session.config.verify)
    return verdict.status
