"""What the tests of the proof run under, besides what all do."""

import functools

import jaxtyping
import pytest

from parity.encoder import pair


@pytest.fixture(autouse=True, scope="session")
def explanations_unchecked():
    """Shape annotations are not checked while mistakes are tried, as for users they never are.

    To explain one difference, a reference runs a hundred times, each time with another mistake in it, and every other
    run of it is checked; checking took three quarters of the time.
    """
    explain = pair._Tracing.explain

    @functools.wraps(explain)
    def unchecked(*arguments):
        jaxtyping.config.update("jaxtyping_disable", True)
        try:
            return explain(*arguments)
        finally:
            jaxtyping.config.update("jaxtyping_disable", False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair._Tracing, "explain", unchecked)
        yield


@pytest.fixture(scope="module")
def shapes_unchecked():
    """Shape annotations are not checked in what runs encoders a hundred times: half as long again.

    Other tests check them on the same encoders.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        yield
