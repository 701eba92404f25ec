"""What a matrix of configs leaves out, asked of the configs' own types: a new option is missing until one has it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def covering(forms: Mapping[str, Any]) -> list[str]:
    """Names of a few forms that have, between them, every value that any form has in any field."""
    left = {name: _values(form) for name, form in forms.items()}
    wanted = set().union(*left.values())
    chosen = []
    while wanted:
        chosen.append(max(left, key=lambda name: len(left[name] & wanted)))
        wanted -= left[chosen[-1]]
    return [name for name in forms if name in chosen]


def _values(form: Any) -> set[tuple[str, str]]:
    fields = {**form._asdict(), **dataclasses.asdict(form.config)}
    return {(name, repr(value)) for name, value in fields.items() if name != "config"}


def missing(configs: Sequence[Any]) -> list[str]:
    """What no config has: a value of a switch or a choice, a number that is left out or not, unequal layers.

    Sizes must be above 0; whether a number may be 0, which leaves a part out, the configs say themselves.
    """
    hints = get_type_hints(type(configs[0]))
    return [
        f"{field.name}: {what}"
        for field in dataclasses.fields(configs[0])
        for what in _missing(
            hints[field.name], [getattr(one, field.name) for one in configs], _legal(configs, field.name)
        )
    ]


def _missing(hint: Any, seen: Sequence[Any], legal: Callable[[Any], bool]) -> list[str]:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        found = [] if None in seen else ["None"]
        (other,) = (part for part in parts if part is not NoneType)
        return found + _missing(other, [one for one in seen if one is not None], legal)
    if hint is bool or origin is Literal:
        return [repr(one) for one in parts or (True, False) if one not in seen]
    if hint in (int, float):
        found = [] if 0 in seen or not legal(0) else ["0"]
        return found if any(seen) else [*found, "a number"]
    if origin is tuple:
        found = [] if () in seen or not legal(()) else ["()"]
        found += [] if any(len(set(one)) > 1 for one in seen) else ["unequal layers"]
        return found + _missing(parts[0], [each for one in seen for each in one], lambda value: False)
    raise NotImplementedError(f"options of the type {hint}")


def _legal(configs: Sequence[Any], name: str) -> Callable[[Any], bool]:
    """Whether some config takes a value, all else as it is."""

    def legal(value: Any) -> bool:
        for config in configs:
            try:
                dataclasses.replace(config, **{name: value})
            except ValueError:
                continue
            return True
        return False

    return legal
