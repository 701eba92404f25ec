"""A pytest plugin: `assert_same(ours, theirs, inputs)` fails with the report, and `--parity-report DIR` keeps pages.

What it compares is imported when a test asks for it: pytest loads a plugin in every run.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--parity-report`."""
    group = parser.getgroup("parity")
    group.addoption(
        "--parity-report", type=Path, metavar="DIR", help="write a page for every pair that assert_same compares"
    )


@pytest.fixture
def assert_same(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Compares two models as `parity.compare` does, and fails, with the report, unless the verdict is PASS."""

    def check(ours: Any, theirs: Any, inputs: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        from parity.models.compare import compare_models

        report = compare_models(ours, theirs, inputs, **options)
        folder = request.config.getoption("--parity-report")
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            name = re.sub(r"[^\w.-]+", "-", request.node.nodeid)
            report.save(folder / f"{name}.html")
        if report.verdict != "PASS":
            pytest.fail(str(report), pytrace=False)
        return report

    return check
