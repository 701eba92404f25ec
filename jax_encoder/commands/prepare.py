"""`train.py prepare`: text of any size becomes a folder that training reads."""

from jax_encoder.commands.called import pretrain_command
from jax_encoder.data.prepared.config import PrepareConfig


def run(config: PrepareConfig) -> int:
    """Prepares, says what to type next, and returns 0; 130 for Ctrl-C.

    Raises:
        InputError: options, text or a folder that cannot be used.
    """
    # Imported here, so that --help need not wait for it.
    import shlex

    from rich.console import Console

    from jax_encoder.data.prepared.build import prepare_text

    console = Console()
    try:
        folder = prepare_text(config, console)
    except KeyboardInterrupt:
        console.print("stopped by Ctrl-C: the same command goes on where it was", highlight=False)
        return 130
    if config.part is None:
        command = f"{pretrain_command()} --data {shlex.quote(str(folder))}"
        console.print(f"train on it with\n  {command}", highlight=False, markup=False, soft_wrap=True)
    return 0
