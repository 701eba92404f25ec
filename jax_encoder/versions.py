"""Saved configs of earlier versions, read with the values that their fields had then. Standard library only."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

KEY = "version"
# Version -> the fields that it added -> what each was worth before, given the older fields.
Added = Mapping[int, Mapping[str, Callable[[Mapping[str, Any]], Any]]]


def newest(added: Added) -> int:
    """The version that is written today. Versions count from 1, which added nothing."""
    return max(added, default=1)


def upgraded(values: Mapping[str, Any], fields: Collection[str], added: Added, *, what: str) -> dict[str, Any]:
    """The fields of a saved config as today's version has them.

    Args:
        values: as saved. Without a version it is of the newest one that has just these fields: early versions wrote
            none, and whoever writes a config by hand need not know of it.
        fields: of today's version.
        added: what versions after the first added.
        what: whose fields they are, for messages.

    Raises:
        ValueError: the config is of a newer version, or not of the version that it says.
    """
    given = {name: value for name, value in values.items() if name != KEY}
    version = values[KEY] if KEY in values else _told_by(given, fields, added)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"{what} must have a whole number of at least 1 as {KEY}, got {version!r}")
    if version > newest(added):
        raise ValueError(
            f"{what} is of version {version}, written by a newer version of jax-encoder: this one reads versions up to "
            f"{newest(added)}; upgrade it"
        )
    expected = _fields_of(version, fields, added)
    if given.keys() != expected:
        unknown, missing = sorted(given.keys() - expected), sorted(expected - given.keys())
        raise ValueError(f"{what} has unknown fields {unknown} and lacks {missing}")
    for later in range(version + 1, newest(added) + 1):
        given |= {name: worth(given) for name, worth in added.get(later, {}).items()}
    return given


def _told_by(given: Collection[str], fields: Collection[str], added: Added) -> int:
    """The newest version with these fields; today's if there is none, so that they are held against today's."""
    fitting = (version for version in range(newest(added), 0, -1) if set(given) == _fields_of(version, fields, added))
    return next(fitting, newest(added))


def _fields_of(version: int, fields: Collection[str], added: Added) -> set[str]:
    return set(fields) - {name for later, new in added.items() if later > version for name in new}
