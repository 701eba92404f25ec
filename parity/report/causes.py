"""The lines of a report that say where differences are made, and which mistakes they look like."""

from collections.abc import Iterator

from parity.judge.verdict import Culprit, Run
from parity.report.columns import aligned

# Causes that are listed; a mistake in every layer of a deep network would fill the page.
_LISTED = 12


def about_first(run: Run, site: str) -> Iterator[str]:
    """What is known of the first site to differ."""
    culprit = next((one for one in run.culprits if one.site == site), None)
    if culprit is not None and culprit.comparison.by_chance:
        yield from (f"  {line}" for line in _mistake(culprit))
        return
    if not run.replayed:
        return
    if culprit is not None:
        yield "  fed the reference's own input this block still differs: the cause is here"
        yield from (f"  {line}" for line in _mistake(culprit))
    elif run.culprits:
        yield f"  fed the reference's own input this block agrees: the cause is at {run.culprits[0].site}"
        yield from (f"  {line}" for line in _mistake(run.culprits[0]))
    else:
        yield "  fed the reference's own input every block agrees: the difference arises between the blocks,"
        yield "  in the loop over the layers or in what is passed around them"


def causes(run: Run) -> Iterator[str]:
    """Every place where a difference is made, with what it is computed from."""
    if len(run.culprits) < 2:
        return
    if run.by_chance:
        yield f"{len(run.culprits):,} things are not as chance has them"
        rows: list[tuple[str, ...]] = [(one.site, "; ".join(one.shape), _name(one)) for one in run.culprits[:_LISTED]]
    else:
        yield f"differences are made at {len(run.culprits):,} places; all others have inherited theirs"
        rows = [
            (one.site, _between(one), f"error {one.comparison.error:.1e}", _name(one)) for one in run.culprits[:_LISTED]
        ]
    yield from (f"  {line}" for line in aligned(rows))
    if len(run.culprits) > _LISTED:
        yield f"  and {len(run.culprits) - _LISTED:,} more"


def _mistake(culprit: Culprit) -> Iterator[str]:
    if culprit.explanations:
        best = culprit.explanations[0]
        residual = f"{best.residual:.0e}" if best.residual else "0"
        yield f"looks like: {best.mistake}, in {best.side} ({best.bug}; residual after correcting for it: {residual})"
        return
    yield "nothing in the catalogue explains it"
    yield from culprit.shape


def _between(culprit: Culprit) -> str:
    return f"between {' and '.join(culprit.reads)} and it" if culprit.reads else "from inputs and parameters"


def _name(culprit: Culprit) -> str:
    return culprit.explanations[0].bug if culprit.explanations else "-"
