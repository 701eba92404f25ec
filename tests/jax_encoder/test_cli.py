"""The command line as a whole: what it refuses, what it says of itself, and what it loads for that."""

import subprocess
import sys
from pathlib import Path

import pytest

from jax_encoder import cli

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Expected one of {prepare, train, resume, export, replay, encode, fill-mask}"),
        (["encode", "x.txt"], "--model"),
        (["encode", "--model", "x"], "FILE"),
        (["encode", "--model", "x", "x.txt", "--dtype", "float16"], "float16"),
    ],
)
def test_what_cannot_be_parsed_ends_with_status_2(capsys, arguments, message):
    with pytest.raises(SystemExit) as raised:
        cli.main(arguments)
    assert raised.value.code == 2
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_help_names_every_option_and_needs_no_jax():
    code = "import sys\nfrom jax_encoder import cli\ntry: cli.main(['encode', '--help'])\n"
    code += "finally: assert not {'jax', 'numpy'} & set(sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for option in ("FILE", "--model DIR", "--out FILE.npy", "--batch-size", "--force", "--allow-pickle", "--dtype"):
        assert option in shown


def test_the_package_runs():
    command = [sys.executable, "-m", "jax_encoder", "encode", "--model", "x", "/no/such.txt"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "python -m jax_encoder: /no/such.txt: cannot be read: No such file or directory\n"
