import hashlib
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jax_encoder.errors import InputError
from jax_encoder.training.checkpoint import Checkpoints
from jax_encoder.training.step import TrainState


def state_at(step: int) -> TrainState:
    rng = np.random.default_rng(step)
    params = {"word": jnp.asarray(rng.standard_normal((7, 5)), jnp.float32), "norm": {"scale": jnp.zeros(3)}}
    opt_state = optax.adamw(lambda _: 0.1).init(params)
    opt_state = jax.tree.map(lambda leaf: leaf + jnp.asarray(step, leaf.dtype), opt_state)
    return TrainState(params, opt_state, jnp.asarray(step, jnp.int32))


def assert_same(one: TrainState, other: TrainState) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def three_saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "checkpoints"
    checkpoints = Checkpoints(folder, keep=3)
    for step in (10, 20, 30):
        checkpoints.save(state_at(step))
    return folder


@pytest.fixture
def checkpoints(three_saved, tmp_path) -> Checkpoints:
    shutil.copytree(three_saved, tmp_path / "checkpoints")
    return Checkpoints(tmp_path / "checkpoints", keep=3)


def largest(folder: Path) -> Path:
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def test_the_newest_comes_back_bit_for_bit(checkpoints):
    restored = checkpoints.restore(state_at(0))
    assert_same(restored.state, state_at(30))
    assert restored.passed_over == ()
    assert checkpoints.newest() == 30


def test_shapes_are_enough_to_restore(checkpoints):
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), state_at(0))
    assert_same(checkpoints.restore(shapes).state, state_at(30))


def test_only_the_newest_are_kept(checkpoints):
    Checkpoints(checkpoints.folder, keep=2).save(state_at(40))
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == [
        "step_00000030",
        "step_00000030.sha256",
        "step_00000040",
        "step_00000040.sha256",
    ]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "truncated": (lambda folder: truncate(largest(folder)), " is not what was written"),
    "flipped bit": (lambda folder: flip(largest(folder)), " is not what was written"),
    "file missing": (lambda folder: largest(folder).unlink(), " is missing"),
    "all files missing": (lambda folder: [p.unlink() for p in folder.rglob("*") if p.is_file()], " is missing"),
    "killed before the checksums": (
        lambda folder: folder.with_name(folder.name + ".sha256").unlink(),
        "step_00000030.sha256 is missing; it is written last",
    ),
    "checksums empty": (
        lambda folder: folder.with_name(folder.name + ".sha256").write_text(""),
        "step_00000030.sha256 is empty",
    ),
    "checksums garbled": (
        lambda folder: folder.with_name(folder.name + ".sha256").write_bytes(b"\xff\xfe\n"),
        "step_00000030.sha256 is not a list of checksums",
    ),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_is_passed_over_and_named(checkpoints, damage, reason):
    damage(checkpoints.folder / "step_00000030")
    restored = checkpoints.restore(state_at(0))
    assert_same(restored.state, state_at(20))
    (line,) = restored.passed_over
    assert line.startswith("the checkpoint of step 30 is damaged: ")
    assert line.endswith(reason)


def test_every_single_file_counts(checkpoints):
    folder = checkpoints.folder / "step_00000030"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content + b"x")
        assert checkpoints.damage(30) == f"{path.relative_to(checkpoints.folder).as_posix()} is not what was written"
        path.write_bytes(content)
    assert checkpoints.damage(30) is None


def test_no_whole_checkpoint_is_bad_input(checkpoints):
    for step in (10, 20, 30):
        truncate(largest(checkpoints.folder / f"step_000000{step}"))
    with pytest.raises(InputError) as raised:
        checkpoints.restore(state_at(0))
    first, *rest = str(raised.value).splitlines()
    assert first == f"no whole checkpoint in {checkpoints.folder}: start a new run"
    assert [line.split(":")[0] for line in rest] == [f"the checkpoint of step {n} is damaged" for n in (30, 20, 10)]


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir], ids=["no folder", "empty folder"])
def test_no_checkpoint_is_bad_input(tmp_path, make):
    make(tmp_path / "checkpoints")
    with pytest.raises(InputError, match=r"^no checkpoint in .*/checkpoints: there is nothing to resume; start a new"):
        Checkpoints(tmp_path / "checkpoints", keep=1).restore(state_at(0))


def test_going_on_from_an_older_one_clears_the_damaged_future(checkpoints):
    flip(largest(checkpoints.folder / "step_00000030"))
    again = Checkpoints(checkpoints.folder, keep=1)
    assert int(again.restore(state_at(0)).state.step) == 20
    again.save(state_at(25))
    assert again.steps() == [25]
    assert_same(again.restore(state_at(0)).state, state_at(25))


def test_a_damaged_checkpoint_is_replaced(checkpoints):
    truncate(largest(checkpoints.folder / "step_00000030"))
    checkpoints.save(state_at(30))
    assert checkpoints.damage(30) is None
    assert_same(checkpoints.restore(state_at(0)).state, state_at(30))


def test_what_a_kill_left_unfinished_is_swept_up(checkpoints):
    unfinished = checkpoints.folder / "step_00000040.orbax-checkpoint-tmp"
    unfinished.mkdir()
    (unfinished / "part").write_text("x")
    assert int(checkpoints.restore(state_at(0)).state.step) == 30
    checkpoints.save(state_at(40))
    assert not unfinished.exists()
    assert checkpoints.steps() == [20, 30, 40]


def test_checksums_are_those_of_the_files(checkpoints):
    lines = (checkpoints.folder / "step_00000030.sha256").read_text().splitlines()
    for line in lines:
        checksum, name = line.split("  ")
        assert hashlib.sha256((checkpoints.folder / name).read_bytes()).hexdigest() == checksum


def test_another_shape_is_refused(checkpoints):
    other = state_at(0)
    other.params["word"] = jnp.zeros((8, 5), jnp.float32)
    with pytest.raises(InputError) as raised:
        checkpoints.restore(other)
    assert str(raised.value) == (
        "the checkpoint of step 30 does not fit this run's config.json: .params['word'] is saved as "
        "((7, 5), dtype('float32')) and wanted as ((8, 5), dtype('float32')) (shape, dtype)"
    )


def test_saving_is_silent(tmp_path, capfd, caplog):
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=1)
    checkpoints.save(state_at(1))
    checkpoints.restore(state_at(0))
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.levelname not in ("DEBUG", "INFO")] == []
