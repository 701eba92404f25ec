"""A disk that is full while a run saves: told in one line, and the last good checkpoint stays."""

import contextlib
import resource

import pytest

from jax_encoder.data.files import DiskFullError
from jax_encoder.training.loop import Outcome, train
from jax_encoder.training.run_folder import resume_command
from tests.jax_encoder.training.helpers import STEPS, quiet
from tests.jax_encoder.training.test_loop import Disturbed, assert_same_run, whole

__all__ = ["whole"]  # a fixture


@contextlib.contextmanager
def room(size: int):
    """Files of this process may not grow past so many bytes: a full disk, as the system tells of it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_costs_a_checkpoint_and_not_the_run(session, whole, reopen, capfd):
    """From before the checkpoint of step 3 until behind that of step 4 there is room for nothing."""
    with contextlib.ExitStack() as stack:
        session.checkpoints.keep = 9
        full = Disturbed(session.batches, 2, lambda: stack.enter_context(room(300)))
        empty = Disturbed(full, 7, stack.close)
        console = quiet()
        assert train(session._replace(batches=empty), console) == Outcome(STEPS, None)
    said = [line for line in console.file.getvalue().splitlines() if "is not saved" in line]
    assert [line[:7] for line in said] == ["step 3 ", "step 4 "]
    for line in said:
        assert line[7:].startswith(f"is not saved, no room for {session.folder.path}/")
        assert line.endswith("the run goes on, the newest checkpoint is that of step 0")
    assert capfd.readouterr() == ("", "")
    assert session.checkpoints.steps() == [0, 8]
    assert_same_run(session, whole)


def test_a_full_disk_at_the_end_says_how_to_go_on(session, whole, reopen, capfd):
    with contextlib.ExitStack() as stack:
        full = Disturbed(session.batches, 7, lambda: stack.enter_context(room(3000)))
        with pytest.raises(DiskFullError) as caught:
            train(session._replace(batches=full), quiet())
    assert str(caught.value).startswith(f"step 8 could not be saved, no room for {session.checkpoints.folder}/step_0")
    assert str(caught.value).endswith(f"Make room, and go on with\n  {resume_command(session.folder.path)}")
    assert capfd.readouterr() == ("", "")
    assert session.checkpoints.newest() == 4
    assert {path.name for path in session.checkpoints.folder.iterdir()} == {
        f"step_0000000{step}{end}" for step in (3, 4) for end in ("", ".sha256")
    }
    again = reopen(session.folder.path)
    assert train(again, quiet()) == Outcome(STEPS, None)
    assert_same_run(again, whole)
