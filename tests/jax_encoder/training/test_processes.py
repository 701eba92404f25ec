"""Processes that compute one run together: by themselves in what they decide, and for real on loopback."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jax_encoder.commands.train import main, parse
from jax_encoder.errors import InputError
from jax_encoder.training import metrics, processes
from jax_encoder.training.last_words import LastWords
from jax_encoder.training.launch import Launch
from tests.jax_encoder.training.helpers import tiny, write_corpus

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coordinator": "node1:9876"}, "--coordinator, --process-id and --num-processes belong together"),
        ({"process_id": 0, "num_processes": 2}, "belong together"),
        ({"coordinator": "a:1", "process_id": 2, "num_processes": 2}, "below --num-processes 2, got 2"),
        ({"peer_timeout": 0}, "--peer-timeout must be at least 1, got 0"),
    ],
)
def test_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Launch(**options).check()


def test_options_are_of_the_command_and_not_of_the_run():
    config = parse(["pretrain", "--coordinator", "a:1", "--process-id", "1", "--num-processes", "2"])
    assert config.launch == Launch(coordinator="a:1", process_id=1, num_processes=2)
    assert "launch" not in config.to_dict()
    assert parse(["resume", "runs/x", "--peer-timeout", "5"]).launch.peer_timeout == 5


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, ""),
        ({"SLURM_STEP_NUM_TASKS": "1"}, ""),
        ({"SLURM_STEP_NUM_TASKS": "8"}, "Slurm"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "Open MPI"),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, ""),
        ({"TPU_WORKER_HOSTNAMES": "host0,host1"}, "a TPU pod"),
    ],
)
def test_what_has_started_several_processes_is_told_by_the_environment(environment, found, monkeypatch):
    for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "TPU_WORKER_HOSTNAMES", "TPU_PROCESS_ADDRESSES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert processes.cluster() == found


def test_a_process_that_is_alone_asks_nobody():
    assert processes.leads()
    assert processes.by_lead("x", lambda: "said") == "said"
    assert processes.agreed(3, None) is None
    assert processes.agreed(3, signal.SIGTERM) == signal.SIGTERM
    processes.together("x")
    processes.leave("x", 2)
    with processes.joined(Launch(), Path("run")):
        pass


class Store:
    """What processes share, in place of JAX's."""

    def __init__(self):
        self.values: dict[str, str] = {}

    def key_value_set(self, key, value, allow_overwrite=False):
        if key in self.values and not allow_overwrite:
            raise RuntimeError("ALREADY_EXISTS: key")
        self.values[key] = value

    def key_value_try_get(self, key):
        if key not in self.values:
            raise RuntimeError("NOT_FOUND: key")
        return self.values[key]


@pytest.mark.parametrize(("count", "first"), [(2, 12), (1000, 12)])
def test_a_signal_that_comes_to_one_stops_all_after_the_same_step(count, first, monkeypatch):
    store = Store()
    monkeypatch.setattr(processes, "_store", lambda: store)
    monkeypatch.setattr(processes.jax, "process_count", lambda: count)
    ahead = [processes.agreed(step, None) for step in range(1, 11)]  # the other is ahead, and has asked before
    assert ahead == [None] * 10
    assert processes.agreed(7, 15) is None
    assert processes.agreed(8, 2) is None  # the first that was told counts
    stops = [
        next(step for step in range(start, 40) if processes.agreed(step, own)) for start, own in ((11, None), (9, 15))
    ]
    assert stops == [first] * 2
    assert processes.agreed(first, None) == 15


@pytest.mark.parametrize(
    ("code", "said"), [("words.unsaid()", ""), ("os.kill(os.getpid(), 9)", "gone\n"), ("", "gone\n")]
)
def test_last_words_are_said_by_one_that_is_killed(code, said):
    enter = "from jax_encoder.training.last_words import LastWords\nwords = LastWords('gone')\nwords.__enter__()"
    program = f"import os\n{enter}\n{code}\nos._exit(0)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == said
    with LastWords("nothing"):
        pass


def started(count: int, command: list[str], *, devices: int) -> list[subprocess.Popen]:
    """So many processes of one run on loopback."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "0",
    }
    found = [f"--coordinator=localhost:{port}", f"--num-processes={count}", "--peer-timeout=8"]
    return [
        subprocess.Popen(
            [sys.executable, "train.py", *command, *found, f"--process-id={number}"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]


def ended(running: list[subprocess.Popen]) -> list[tuple[int, str, str]]:
    """Status, output and errors of each."""
    said = [one.communicate(timeout=240) for one in running]
    return [(one.returncode, *texts) for one, texts in zip(running, said, strict=True)]


def waited(path: Path, lines: int) -> None:
    """Until so many steps are written."""
    for _ in range(2400):
        if path.exists() and len(path.read_text().splitlines()) >= lines:
            return
        time.sleep(0.1)
    raise AssertionError(f"{path} never had {lines} lines")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    write_corpus(path)
    return path


@pytest.mark.slow
def test_two_processes_one_of_which_dies_and_both_go_on(corpus, tmp_path):
    run = tmp_path / "run"
    more = ["--mesh=data=2,fsdp=2", "--steps=400", "--eval-every=400", "--checkpoint-every=20"]
    running = started(2, tiny(corpus, run, *more), devices=2)
    waited(run / "metrics.jsonl", 30)
    running[1].kill()
    (status, _, said), (killed, _, last) = ended(running)
    assert (status, killed) == (processes.PEER_GONE, -signal.SIGKILL)
    assert "process 0 of 2 ends: " in said
    assert f"resume {run}" in said
    assert "process 1 of 2 has ended without a word" in last
    running = started(2, ["resume", str(run)], devices=2)
    before = len((run / "metrics.jsonl").read_text().splitlines())
    waited(run / "metrics.jsonl", before + 20)
    running[1].terminate()
    (one, out, _), (other, silent, _) = ended(running)
    assert (one, other) == (128 + signal.SIGTERM,) * 2
    assert "stopped by SIGTERM after step" in out
    assert "step" not in silent
    records = metrics.of_split(run / "metrics.jsonl", "train")
    assert [record["step"] for record in records] == list(range(1, len(records) + 1))
    # What the processes have come to, one device goes on with: the same function of the same batches.
    config = json.loads((run / "config.json").read_text())
    assert config["training"]["mesh"] == "data=2,fsdp=2"


@pytest.mark.slow
def test_four_processes_take_the_steps_that_one_takes(corpus, tmp_path):
    more = ["--steps=3", "--eval-every=3", "--checkpoint-every=3"]
    results = ended(started(4, tiny(corpus, tmp_path / "four", *more, "--mesh=data=2,fsdp=2"), devices=1))
    assert [status for status, *_ in results] == [0] * 4, results
    assert main(tiny(corpus, tmp_path / "one", *more)) == 0
    four, one = (
        [record["loss"] for record in metrics.read(tmp_path / name / "metrics.jsonl")] for name in ("four", "one")
    )
    assert four == pytest.approx(one, rel=1e-5)


@pytest.mark.slow
def test_what_one_process_refuses_ends_all(corpus, tmp_path):
    running = started(2, tiny(corpus, tmp_path / "run", "--mesh=data=3"), devices=2)
    (status, _, said), (other, _, why) = ended(running)
    assert (status, other) == (2, processes.PEER_GONE)
    assert "--mesh data=3 is for 3 devices, and JAX sees 4: --mesh data=4 would fit" in said
    assert "process 0 has ended: --mesh data=3 is for 3 devices" in why
    assert not (tmp_path / "run").exists()
