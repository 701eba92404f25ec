"""The small folders of many families and kinds of tokenizers, each as a published one is checked: one report on all."""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

from parity.judge.check import choose
from parity.judge.compare import SEMANTIC
from parity.judge.verdict import Report, Run, Setting
from parity.text.check import Progress, text_of
from parity.text.folders import SMALL


def check_small(names: Sequence[str] | None, *, computed: int, progress: Progress) -> Report:
    """Makes folders, of random weights and tokenizers of their own, and checks the text of each.

    Args:
        names: of folders; None takes all.
        computed: at most so many texts of each go through the networks.
        progress: called with the name of the folder and of each group of texts before it is read.

    Raises:
        UsageError: a name is not known.
    """
    runs: list[Run] = []
    settings: list[Setting] = []
    environment: dict[str, str] = {}
    texts = 0
    chosen = choose("folder", names, tuple(SMALL))
    with tempfile.TemporaryDirectory() as place:
        for name in chosen:
            folder = SMALL[name].write(Path(place) / name)
            found = text_of(str(folder), computed=computed, progress=_under(name, progress))
            runs += [dataclasses.replace(run, variant=name) for run in found.runs]
            settings += [one._replace(name=f"{name}: {one.name}") for one in found.settings if one.warning]
            environment |= found.environment
            texts += int(found.environment.get("texts", "0").replace(",", ""))
    environment |= {"folders": str(len(chosen)), "texts": f"{texts:,}"}
    environment.pop("of which computed", None)
    return Report(
        f"the text of {len(chosen)} small folders, in jax_encoder against the libraries",
        *(SEMANTIC, environment, tuple(runs)),
        preflight=tuple(settings),
    )


def _under(name: str, progress: Progress) -> Progress:
    """Progress of a folder's groups, under the folder's name."""
    return lambda _, case: progress(name, case)
