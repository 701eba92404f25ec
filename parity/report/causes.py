"""The lines of a report that say where differences are made, and which mistakes they look like."""

import re
from collections.abc import Iterator

from parity.judge.locate import loss_of, value_of
from parity.judge.verdict import Culprit, Run
from parity.report.columns import aligned

# Causes that are listed; a mistake in every layer of a deep network would fill the page. And names of one cause.
_LISTED, _NAMES = 12, 3


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
    elif any(loss_of(one.site) == site for one in run.comparisons):
        yield "  it is a loss, and no block before it differs: the difference is made in how the loss is computed"
    elif all(one.site != site for one in run.replayed):
        yield "  it was not computed again from the reference's own input, so no more is known of the cause"
    else:
        yield "  fed the reference's own input every block agrees: the difference arises between the blocks,"
        yield f"  {_between_blocks(run, site)}"


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
    if not culprit.explanations:
        yield "nothing in the catalogue explains it"
        yield from culprit.shape
    elif len(culprit.explanations) == 1:
        (only,) = culprit.explanations
        residual = f"{only.residual:.0e}" if only.residual else "0"
        yield f"looks like: {only.mistake}, in {only.side} ({only.bug}; residual after correcting for it: {residual})"
    else:
        count = len(culprit.explanations)
        named = [f"{one.mistake}, in {one.side} ({one.bug})" for one in culprit.explanations[:_NAMES]]
        more = f", or {count - _NAMES} more" if count > _NAMES else ""
        yield f"looks like: {', or '.join(named)}{more}: {'both' if count == 2 else f'all {count}'} explain it exactly"


def _between(culprit: Culprit) -> str:
    return f"between {' and '.join(culprit.reads)} and it" if culprit.reads else "from inputs and parameters"


def _between_blocks(run: Run, site: str) -> str:
    """Where a difference arises that no block makes."""
    before = [one.site for one in run.comparisons[: run.first_to_differ] if one.agrees]
    where = f"between {before[-1]} and {site}" if before else f"before {site}"
    in_layers = re.match(r"(.*\.)?layers\.\d+\.", value_of(site))
    return f"{where}{', in the loop over the layers or in what is passed around them' if in_layers else ''}"


def _name(culprit: Culprit) -> str:
    return " or ".join(one.bug for one in culprit.explanations[:_NAMES]) or "-"
