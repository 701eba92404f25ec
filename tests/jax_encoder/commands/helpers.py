"""Running a command that is to be refused."""

from jax_encoder import cli


def refused(capsys, arguments: list[str]) -> str:
    """The message of a command that ends with status 2 and says nothing else."""
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("python -m jax_encoder: ")
    return err.removeprefix("python -m jax_encoder: ").removesuffix("\n")
