"""Several processes that compute one run: what they tell one another, and what becomes of the rest when one is gone.

JAX brings them together, by the environment or by options, and has a store of small values that all of them read; it
is reached by a private name, as Orbax does. Whatever is one file is written by process 0 alone.
"""

import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils

from jax_encoder.errors import InputError
from jax_encoder.training.last_words import LastWords
from jax_encoder.training.launch import Launch
from jax_encoder.training.run_folder import resume_command

# The exit status of a process that ends because another one has.
PEER_GONE = 4

# A variable that says how many processes a cluster has started, for those that JAX finds its way in by itself.
_SIGNS = {"SLURM_STEP_NUM_TASKS": "Slurm", "OMPI_COMM_WORLD_SIZE": "Open MPI"}
_NAMES = {"TPU_WORKER_HOSTNAMES": "a TPU pod", "TPU_PROCESS_ADDRESSES": "a TPU pod"}

_BEATS, _ENDED, _STOP = "jax_encoder/beats", "jax_encoder/ended", "jax_encoder/stop"
# How many steps processes may be apart: those in flight, and one that is being read.
_APART = 4
# Seconds between two signs of life, at most, and those after which everybody has heard what was said.
_BEAT, _HEARD = 3.0, 5.0
_SAID = itertools.count()
# So many processes may ask at every step whether to stop.
_ASK_EVERY_STEP = 64


def cluster() -> str:
    """What has started several processes, by this one's environment; empty for a process that is alone."""
    for variable, name in _SIGNS.items():
        if os.environ.get(variable, "1").strip() not in ("", "1"):
            return name
    return next((name for variable, name in _NAMES.items() if "," in os.environ.get(variable, "")), "")


def join(launch: Launch) -> bool:
    """Brings the processes of a run together, before JAX is used; returns whether there are several.

    Raises:
        InputError: they do not find one another.
    """
    launch.check()
    found = cluster() if launch.coordinator is None else ""
    if launch.coordinator is None and not found:
        return False
    named = (
        {}
        if launch.coordinator is None
        else {
            "coordinator_address": launch.coordinator,
            "num_processes": launch.num_processes,
            "process_id": launch.process_id,
        }
    )
    # JAX would end a process that has lost the others without a word of ours: later than the watch does.
    timeouts = {"heartbeat_timeout_seconds": 4 * launch.peer_timeout, "shutdown_timeout_seconds": launch.peer_timeout}
    try:
        jax.distributed.initialize(**named, initialization_timeout=300, **timeouts)  # type: ignore[arg-type]
    except (RuntimeError, ValueError) as error:
        where = launch.coordinator or f"what {found} says"
        said = str(error).strip().splitlines()[0]
        raise InputError(f"the processes of this run do not find one another by {where}: {said}") from None
    return jax.process_count() > 1


def leads() -> bool:
    """Whether this process writes what is one file, and speaks: the first, or the only one."""
    return jax.process_index() == 0


def alone() -> bool:
    """Whether there is no other process."""
    return jax.process_count() == 1


def by_lead(name: str, make: Callable[[], str]) -> str:
    """What process 0 makes of something, for all; the others wait for it, however long it takes.

    Args:
        name: of what it is; all processes ask for the same things in the same order.
        make: called by process 0 alone.
    """
    if alone():
        return make()
    key = f"jax_encoder/said/{next(_SAID)}/{name}"
    if leads():
        said = make()
        _store().key_value_set(key, said)
        return said
    return _store().blocking_key_value_get(key, 7 * 24 * 3600 * 1000)


def together(name: str) -> None:
    """Waits until all processes have come here."""
    if not alone():
        multihost_utils.sync_global_devices(name)


def fetched(tree: Any) -> Any:
    """Arrays of numpy, whole in every process, from arrays over the devices of all; all processes take part."""
    if alone():
        return jax.tree.map(np.asarray, tree)
    return multihost_utils.process_allgather(tree, tiled=True)


def agreed(step: int, asked: int | None) -> int | None:
    """The number of the signal that ends the run after this step, the same in all processes, whoever it came to.

    Processes are at most a few steps apart, as every step waits for all. So the one that a signal comes to names a step
    that none has reached.

    Args:
        step: that was just done.
        asked: the number of the signal that has come to this process, if one has.
    """
    if alone():
        return asked
    every = 1 if jax.process_count() <= _ASK_EVERY_STEP else _APART
    if asked is not None:
        at = (step // every + 1 + -(-_APART // every)) * every
        _set_first(_STOP, f"{at} {asked}")
    elif step % every:
        return None
    said = _get(_STOP)
    if said is None:
        return None
    last, number = map(int, said.split())
    return number if step >= last else None


class Watch:
    """Sees to it that this process does not wait for ever for one that is gone.

    Every process leaves a sign of life every few seconds; process 0 looks for everybody's, the others for its own. A
    thread does it: what waits for another process's part of a sum hears nothing.

    Args:
        patience: seconds without a sign after which a process counts as dead.
        advice: what to do then, to be printed.
    """

    def __init__(self, patience: int, advice: str):
        self._patience, self._advice = patience, advice
        self._words = LastWords(f"{_who()} has ended without a word: killed, or it has lost process 0.\n{advice}")
        self._seen: dict[str, tuple[str, float]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> "Watch":
        self._words.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._words.unsaid()

    def end(self, reason: str) -> NoReturn:
        """Ends this process at once, without waiting for others as Python's end would."""
        self._words.unsaid()
        sys.stdout.flush()
        print(f"{_who()} ends: {reason}\n{self._advice}", file=sys.stderr, flush=True)
        os._exit(PEER_GONE)

    def _run(self) -> None:
        count, failing = 0, 0.0
        while not self._over.wait(min(self._patience / 5, _BEAT)):
            count += 1
            try:
                _store().key_value_set(f"{_BEATS}/{jax.process_index()}", str(count), allow_overwrite=True)
                ended = _get(_ENDED) or self._silent()
                failing = 0.0
            except Exception as error:
                # Process 0 holds the store: nobody answers where it is gone.
                failing = failing or time.monotonic()
                late = time.monotonic() - failing > self._patience / 2
                ended = f"process 0 cannot be reached ({str(error).splitlines()[0][:120]})" if late else None
            if ended and not self._over.is_set():
                _set_first(_ENDED, ended)
                self.end(ended)

    def _silent(self) -> str | None:
        """Which process has given no sign for too long."""
        now = time.monotonic()
        beats = dict(_store().key_value_dir_get(_BEATS)) if leads() else {f"{_BEATS}/0": _get(f"{_BEATS}/0") or ""}
        for key, beat in beats.items():
            if self._seen.get(key, ("", now))[0] != beat:
                self._seen[key] = beat, now
            elif now - self._seen.setdefault(key, (beat, now))[1] > self._patience:
                return f"process {key.rpartition('/')[2]} has given no sign of life for {self._patience} s"
        return None


def leave(reason: str, status: int) -> None:
    """Of several processes, ends this one, and lets the others know why; one that is alone goes on."""
    if not alone():
        _set_first(_ENDED, f"process {jax.process_index()} has ended: {reason.splitlines()[0]}")
        sys.stdout.flush()
        sys.stderr.flush()
        if leads():
            time.sleep(_HEARD)  # the store is gone with this process
        # Python's own end would wait for the others, and they may be waiting for this one.
        os._exit(status)


@contextmanager
def joined(launch: Launch, run: Path) -> Iterator[None]:
    """Brings the processes of a run together, and in the end lets each go its own way.

    What JAX raises where a process is gone ends this one, with the command to go on with.

    Raises:
        InputError: they do not find one another.
    """
    if not join(launch):
        yield
        return

    advice = (
        f"The others end within {launch.peer_timeout} s. Once all have, go on in every process with "
        f"{resume_command(run)}; a run that has saved nothing yet begins anew, in another folder"
    )
    with Watch(launch.peer_timeout, advice) as watch:
        try:
            yield
            together("the end")
        except jax.errors.JaxRuntimeError as error:
            said = str(error).strip().splitlines()[0]
            _set_first(_ENDED, f"process {jax.process_index()} has ended: {said}")
            watch.end(f"another process is gone, or JAX failed: {said}")
    jax.distributed.shutdown()


def _who() -> str:
    return f"process {jax.process_index()} of {jax.process_count()}"


def _store() -> Any:
    from jax._src import distributed

    return distributed.global_state.client


def _get(key: str) -> str | None:
    try:
        return _store().key_value_try_get(key)
    except Exception as error:
        if "NOT_FOUND" in str(error):
            return None
        raise


def _set_first(key: str, value: str) -> None:
    """Sets a value that nobody has set yet."""
    try:
        _store().key_value_set(key, value)
    except Exception as error:
        if "ALREADY_EXISTS" not in str(error):
            print(f"the other processes cannot be told: {str(error).splitlines()[0][:120]}", file=sys.stderr)
