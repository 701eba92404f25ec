"""Words of reports: columns and counts."""

from collections.abc import Iterator, Sequence


def aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """One line a row, every column as wide as its widest cell.

    >>> list(aligned([("a", "bcd", "e"), ("fg", "", "h")]))
    ['a   bcd  e', 'fg       h']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def counted(number: int, what: str) -> str:
    """`1 case`, `2 cases`, `1,000 cases`."""
    return f"{number:,} {what}{'s' * (number != 1)}"
