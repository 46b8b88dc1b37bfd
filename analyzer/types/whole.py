"""Values as JSON and back, whole: what one process works out for another must be what it would have found itself.

Written for frozen dataclasses of texts, numbers, times, enums and tuples, by the types of their fields: a new field
goes along by itself. What is read was written by others, and is believed in nothing but its values: it is checked
against the types, and no name in it chooses a class.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from operator import index
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from analyzer.errors import InputError

_T = TypeVar("_T")


def dumped(values: tuple[Any, ...]) -> str:
    """Return values as one JSON text in ASCII; numbers that are not finite are written as Python reads them.

    Raises InputError where something in them is of no type that `loaded` gives back.
    """
    try:
        return json.dumps([_plain(value) for value in values], ensure_ascii=True)
    except (TypeError, RecursionError) as error:
        raise InputError(f"this does not go through JSON: {error}") from error


def loaded(kind: type[_T], text: str) -> tuple[_T, ...]:
    """Return the values of a kind that `dumped` wrote. Raises InputError where the text holds anything else."""
    try:
        document = json.loads(text)
        if not isinstance(document, list):
            raise TypeError(f"a list was expected, not {document!r:.40}")  # noqa: TRY301 - one place names what is wrong
        return tuple(_read(kind, value) for value in document)
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise InputError(f"no list of {kind.__name__} as this release writes it: {error}") from error


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {entry.name: _plain(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, str | bool):
        return value
    # A detector computes with numpy, whose numbers are ours in all but the name; anything else raises TypeError.
    return float(value) if isinstance(value, float) else index(value)


def _read(kind: Any, value: Any) -> Any:
    if get_origin(kind) in {Union, UnionType}:
        return _one_of(get_args(kind), value)
    if get_origin(kind) is tuple:
        (inner, _) = get_args(kind)
        if not isinstance(value, list):
            raise TypeError(f"a list was expected, not {value!r:.40}")
        return tuple(_read(inner, one) for one in value)
    if is_dataclass(kind):
        if not _has_fields_of(kind, value):
            raise TypeError(f"a {getattr(kind, '__name__', kind)} was expected, not {value!r:.40}")
        return kind(**{name: _read(hint, value[name]) for name, hint in _hints(kind).items()})  # type: ignore[operator]
    if kind is datetime:
        return datetime.fromisoformat(_of(str, value)).astimezone(UTC)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return _of(kind, value)


def _one_of(kinds: tuple[Any, ...], value: Any) -> Any:
    """Read a value as the first of several types that it is of; the fields of dataclasses tell them apart."""
    if value is None and NoneType in kinds:
        return None
    for kind in kinds:
        if kind is not NoneType and (not is_dataclass(kind) or _has_fields_of(kind, value)):
            return _read(kind, value)
    raise TypeError(f"nothing that can be here: {value!r:.40}")


def _has_fields_of(kind: Any, value: Any) -> bool:
    return isinstance(value, Mapping) and value.keys() == _hints(kind).keys()


def _of(kind: Any, value: Any) -> Any:
    # A whole number may stand where any number may; a truth value is none.
    allowed = (float, int) if kind is float else (kind,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"a {kind.__name__} was expected, not {value!r:.40}")
    return value


_HINTS: dict[Any, dict[str, Any]] = {}


def _hints(kind: Any) -> dict[str, Any]:
    """Return the types of a dataclass's fields; worked out once, which takes longer than reading a finding."""
    if kind not in _HINTS:
        _HINTS[kind] = get_type_hints(kind)
    return _HINTS[kind]
