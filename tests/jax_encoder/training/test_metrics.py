import json

import pytest

from jax_encoder.training import metrics
from jax_encoder.training.metrics import MetricsLog


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def write(path, steps: range, *, start: int) -> None:
    log = MetricsLog(path, path.parent / "tensorboard", step=start)
    for step in steps:
        log.write("train", step, {"loss": step / 3, "seconds": float(step)})
        if step % 2 == 0:
            log.write("held_out", step, {"loss": step / 7})
    log.close()


def test_lines_come_back_exactly(path):
    write(path, range(1, 4), start=0)
    assert metrics.read(path) == [
        {"split": "train", "step": 1, "loss": 1 / 3, "seconds": 1.0},
        {"split": "train", "step": 2, "loss": 2 / 3, "seconds": 2.0},
        {"split": "held_out", "step": 2, "loss": 2 / 7},
        {"split": "train", "step": 3, "loss": 1.0, "seconds": 3.0},
    ]
    assert [record["step"] for record in metrics.of_split(path, "held_out")] == [2]
    assert metrics.training_seconds(path) == 3.0


def test_going_on_drops_what_came_after_the_checkpoint(path, tmp_path):
    write(path, range(1, 6), start=0)
    write(path, range(4, 8), start=3)
    write(tmp_path / "whole.jsonl", range(1, 8), start=0)
    assert path.read_text() == (tmp_path / "whole.jsonl").read_text()


@pytest.mark.parametrize("garbage", ['{"split": "train", "st', "\0\0\0", "\n{"])
def test_a_line_cut_off_by_a_kill_is_dropped(path, garbage):
    write(path, range(1, 4), start=0)
    before = path.read_text()
    path.write_text(before + garbage)
    assert [record["step"] for record in metrics.of_split(path, "train")] == [1, 2, 3]
    write(path, range(0), start=3)
    assert path.read_text() == before


def test_nothing_yet(path):
    assert metrics.read(path) == []
    assert metrics.training_seconds(path) == 0


def test_flush_puts_the_lines_on_the_disk(path):
    log = MetricsLog(path, path.parent / "tensorboard", step=0)
    log.write("train", 1, {"loss": 2.5})
    log.flush()
    assert json.loads(path.read_text()) == {"split": "train", "step": 1, "loss": 2.5}
    log.close()


def test_tensorboard_gets_the_same_numbers_and_is_told_what_to_forget(path):
    write(path, range(1, 6), start=0)
    write(path, range(4, 8), start=3)
    first, second = sorted((path.parent / "tensorboard").iterdir(), key=lambda file: file.stat().st_mtime_ns)
    assert b"train/loss" in first.read_bytes()
    assert b"held_out/loss" in second.read_bytes()
    restarts = [event.step for event in events(second) if event.HasField("session_log")]
    assert restarts == [4]
    values = {(event.step, value.tag): value.simple_value for event in events(second) for value in event.summary.value}
    assert values[6, "held_out/loss"] == pytest.approx(6 / 7)
    assert {step for step, tag in values if tag == "train/loss"} == {4, 5, 6, 7}


def events(path) -> list:
    """TFRecord: an 8-byte length, its checksum of 4, the event, its checksum of 4."""
    from tensorboardX.proto.event_pb2 import Event

    content, found = path.read_bytes(), []
    while content:
        length = int.from_bytes(content[:8], "little")
        found.append(Event.FromString(content[12 : 12 + length]))
        content = content[16 + length :]
    return found
