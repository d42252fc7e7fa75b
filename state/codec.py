"""Records to JSON and back, exactly. Pure. What this release does not know it refuses, and never drops.

The form of every record follows from its dataclass, so a field added in `record.py` is stored without a change here.
Times become ISO 8601 in UTC, enums their value, tuples lists; a field that has its default is left out, so defaults
never change. `{"v": 1, …}` carries the format version.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from types import MappingProxyType, NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from state.store import StateDamaged

FORMAT_VERSION = 1
"""Raised when a record changes its meaning; a new field with a default needs no new version."""

_Record = TypeVar("_Record")
_Convert = Callable[[Any], Any]


def encode(record: object) -> str:
    """The record as one line of ASCII JSON. Raises ValueError for a time without a zone."""
    value: dict[str, Any] = {"v": FORMAT_VERSION, **_plan(type(record)).encode(record)}
    return json.dumps(value, separators=(",", ":"))


def decode(kind: type[_Record], text: str) -> _Record:
    """The record that `encode` wrote. Raises StateDamaged for anything else, a newer release's fields included."""
    try:
        value = json.loads(text)
        version = value.pop("v")
    except (ValueError, KeyError, AttributeError, TypeError) as exc:
        raise StateDamaged(f"a stored {kind.__name__} cannot be read; `reconcile recover` puts a copy back") from exc
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise _newer(kind, f"format {version!r}, this release knows {FORMAT_VERSION}")
    record: _Record = _plan(kind).decode(value)
    return record


class _Plan:
    """How one dataclass is written and read; made once per class."""

    def __init__(self, kind: type[Any]) -> None:
        self.kind = kind
        hints = get_type_hints(kind)
        self.writers = tuple((f.name, _default(f), _writer(hints[f.name])) for f in fields(kind))
        self.plain = {f.name: hints[f.name] for f in fields(kind) if hints[f.name] in (str, int, bool, float)}
        self.readers = {f.name: _reader(hints[f.name]) for f in fields(kind)}

    def encode(self, record: Any) -> dict[str, Any]:
        values = ((name, default, write, getattr(record, name)) for name, default, write in self.writers)
        return {name: write(value) for name, default, write, value in values if value != default}

    def decode(self, value: Any) -> Any:
        """The record; `value` is used up. Written for speed: a pass may load thousands of records."""
        if type(value) is not dict:
            raise _unsound(self.kind, "it is not a JSON object")
        plain, readers = self.plain, self.readers
        try:
            for name, each in value.items():
                if type(each) is not plain.get(name):
                    value[name] = readers[name](each)
            return self.kind(**value)
        except KeyError as exc:
            raise _newer(self.kind, f"field {exc.args[0]!r}") from exc
        except (TypeError, ValueError) as exc:
            raise _unsound(self.kind, str(exc)) from exc


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


_PLANS: dict[type[Any], _Plan] = {}


def _plan(kind: type[Any]) -> _Plan:
    plan = _PLANS.get(kind)
    if plan is None:
        plan = _PLANS[kind] = _Plan(kind)
    return plan


def _writer(hint: Any) -> _Convert:
    """How a value of the annotated type becomes JSON."""
    optional, hint = _split_optional(hint)
    write: _Convert
    if hint is datetime:
        write = _write_time
    elif is_dataclass(hint):
        write = _plan(hint).encode  # type: ignore[arg-type]
    elif isinstance(hint, type) and issubclass(hint, Enum):
        write = _write_enum
    elif get_origin(hint) is tuple:
        write = list
    elif get_origin(hint) is Mapping:
        write = dict
    else:
        return _as_is
    return _or_none(write) if optional else write


def _reader(hint: Any) -> _Convert:
    """How JSON becomes a value of the annotated type; raises TypeError or ValueError for anything else."""
    optional, hint = _split_optional(hint)
    read: _Convert
    if hint is datetime:
        read = _read_time
    elif is_dataclass(hint):
        read = _plan(hint).decode  # type: ignore[arg-type]
    elif isinstance(hint, type) and issubclass(hint, Enum):
        read = _one_of(hint)
    elif get_origin(hint) is tuple:
        read = _read_texts
    elif get_origin(hint) is Mapping:
        read = _read_mapping
    else:
        read = _exactly(hint)
    return _or_none(read) if optional else read


def _split_optional(hint: Any) -> tuple[bool, Any]:
    """`(True, X)` for `X | None`, `(False, X)` for X."""
    if get_origin(hint) is UnionType:
        (inner,) = (each for each in get_args(hint) if each is not NoneType)
        return True, inner
    return False, hint


def _or_none(convert: _Convert) -> _Convert:
    return lambda value: None if value is None else convert(value)


def _as_is(value: Any) -> Any:
    return value


def _write_enum(value: Enum) -> Any:
    return value.value


def _write_time(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError(f"a time without a zone cannot be stored: {value}")
    return value.astimezone(UTC).isoformat()


def _read_time(value: Any) -> datetime:
    time = datetime.fromisoformat(value)
    if time.tzinfo is not UTC:
        raise ValueError(f"not a time in UTC: {value!r}")
    return time


def _exactly(kind: type) -> _Convert:
    def read(value: Any) -> Any:
        # `type is`, not isinstance: JSON's true is not the number 1.
        if type(value) is not kind:
            raise TypeError(f"expected {kind.__name__}, found {value!r}")
        return value

    return read


def _one_of(kind: type[Enum]) -> _Convert:
    members = {member.value: member for member in kind}

    def read(value: Any) -> Any:
        if value not in members:
            raise ValueError(f"{value!r} is no {kind.__name__}; it may come from a newer release")
        return members[value]

    return read


_text = _exactly(str)


def _read_texts(value: Any) -> tuple[str, ...]:
    if type(value) is not list:
        raise TypeError(f"expected a list, found {value!r}")
    return tuple(map(_text, value))


def _read_mapping(value: Any) -> Mapping[str, str]:
    if type(value) is not dict:
        raise TypeError(f"expected an object, found {value!r}")
    return MappingProxyType({key: _text(each) for key, each in value.items()})


def _newer(kind: type, what: str) -> StateDamaged:
    return StateDamaged(
        f"a stored {kind.__name__} comes from a newer release ({what}); upgrade this one to use the state"
    )


def _unsound(kind: type, why: str) -> StateDamaged:
    return StateDamaged(f"a stored {kind.__name__} is not sound ({why}); `reconcile recover` puts a copy back")
