"""`make versions`: what this machine lacks is said, and what fails there fails the command."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER = "3.13" if RUNNING == "3.12" else "3.12"
# Says that it is this version and can make environments, and cannot.
UNABLE = """#!/bin/sh
[ "$1" = -c ] && echo {version} && exit
echo "no room for $2"
exit 1
"""


def versions(home: Path, **commands: str) -> subprocess.CompletedProcess[str]:
    """Runs it on a machine that has, beside the Python of the tests, only these commands; `_` stands for a dot."""
    on_path = home / "bin"
    on_path.mkdir()
    for name, text in commands.items():
        command = on_path / name.replace("_", ".")
        command.write_text(text)
        command.chmod(0o755)
    environment = {"HOME": str(home), "PATH": str(on_path)}
    script = [sys.executable, ROOT / ".ci" / "versions.py"]
    return subprocess.run(script, env=environment, capture_output=True, text=True, check=False)


def test_every_python_that_the_project_admits_is_tried(tmp_path):
    admitted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    first, end = (int(minor) for minor in re.fullmatch(r">=3\.(\d+),<3\.(\d+)", admitted).groups())
    tried = re.findall(r"^Python (\S+), newest versions:", versions(tmp_path).stdout, flags=re.MULTILINE)
    assert tried == [f"3.{minor}" for minor in range(first, end)]


def test_a_python_that_is_not_there_is_said_and_fails_nothing(tmp_path):
    done = versions(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Python {RUNNING}, newest versions: left out, the whole suite runs under it\n" in done.stdout
    missing = f"left out, this machine has no python{OTHER} that can make an environment\n"
    assert f"Python {OTHER}, newest versions: {missing}" in done.stdout
    assert "jax==0.11.2 jaxlib==0.11.2: left out" in done.stdout
    assert "FAILED" not in done.stdout


def test_a_python_that_does_not_work_or_is_another_is_not_there(tmp_path):
    shim, old = "#!/bin/sh\necho not found >&2\nexit 127\n", "#!/bin/sh\necho 3.8\n"
    done = versions(tmp_path, python3_12=shim, python3_13=old)
    assert done.returncode == 0
    assert f"this machine has no python{OTHER} that can" in done.stdout


def test_what_fails_under_one_python_fails_the_command(tmp_path):
    done = versions(tmp_path, **{f"python3_{OTHER[2:]}": UNABLE.format(version=OTHER)})
    assert done.returncode == 1
    assert f"Python {OTHER}, newest versions: {tmp_path / 'bin' / f'python{OTHER}'}\n" in done.stdout
    assert re.search(rf"Python {OTHER}, newest versions: install FAILED, \d+ s\nno room for venv\n", done.stdout)


def test_python_of_pyenv_is_found(tmp_path):
    bin_folder = tmp_path / ".pyenv" / "versions" / f"{OTHER}.7" / "bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "python").write_text(UNABLE.format(version=OTHER))
    (bin_folder / "python").chmod(0o755)
    done = versions(tmp_path)
    assert f"Python {OTHER}, newest versions: {bin_folder / 'python'}\n" in done.stdout
    assert done.returncode == 1


def test_an_environment_that_nobody_uses_is_deleted(tmp_path):
    environments = tmp_path / ".cache" / "jax-encoder" / "venvs"
    for name, days in (("old", 8), ("new", 6)):
        (environments / name).mkdir(parents=True)
        (environments / name / "complete").touch()
        then = (environments / name).stat().st_mtime - days * 86_400
        os.utime(environments / name / "complete", (then, then))
    done = versions(tmp_path)
    assert f"deleted, not used for 7 days: {environments / 'old'}" in done.stdout
    assert [path.name for path in environments.iterdir()] == ["new"]
