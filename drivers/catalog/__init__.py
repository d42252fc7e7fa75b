"""The catalogue as values: options, platforms, sizes, models and flags. The YAML beside this file is the source.

What is read, once per process and when first needed, is compiled.json, the same data in a form that costs a start less
than a millisecond (`build.py`). `merge` lays a user's own data over sizes and models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from drivers.base import Handling

_SIGNS = {
    "●": Handling.HONOURED,
    "○": Handling.TRANSLATED,
    "–": Handling.IGNORED,
    "✗": Handling.REJECTED,
}


class OptionEntry(NamedTuple):
    """One key of the vocabulary."""

    key: str
    type: str
    about: str
    handling: Mapping[str, Handling]
    """By platform; a platform that is not in it knows nothing of the key."""
    how: Mapping[str, str]
    """By platform, what `translated` means there."""
    choices: tuple[str, ...] = ()
    default: str = ""
    unit: str = ""
    engine: bool = False
    """The reconciler itself honours it."""
    operator: bool = False
    """Its value names an entry of the operator's settings."""
    planned: bool = False
    """No platform honours it in this release."""
    spending: bool = False
    """It limits what is spent: where it is not honoured, that is no reason to spend."""


class Namespace(NamedTuple):
    """A family of passthrough keys: which platforms understand it, and which of its keys a repository may not set."""

    platforms: tuple[str, ...]
    closed: bool
    forbidden: tuple[str, ...] = ()


class Vocabulary(NamedTuple):
    """All option keys, by key, and the passthrough namespaces."""

    version: str
    columns: tuple[str, ...]
    """The platforms in the order of the table."""
    keys: Mapping[str, OptionEntry]
    namespaces: Mapping[str, Namespace]


class Platform(NamedTuple):
    """One place where models can run."""

    name: str
    title: str
    provider: str
    serving: tuple[str, ...]
    namespace: str
    engine: str
    hub_engine: str = ""
    """The engine there for original weights on Hugging Face; empty where it is the same one."""
    instance: str = ""
    """Regular expression for its native instance types; empty where it has none."""
    available: bool = False
    """This release can deploy there."""
    honoured: frozenset[str] = frozenset()
    """Option keys that this release honours there."""


class Platforms(NamedTuple):
    """The platforms, and what tells one from another."""

    version: str
    platforms: Mapping[str, Platform]
    regions: Mapping[str, str]
    """Provider to the regular expression of its regions."""
    defaults: Mapping[str, str]
    """Provider to the platform taken when nothing else decides."""
    shared_instances: Mapping[str, str]
    """Platform to another whose instance types it takes as well."""


@lru_cache(maxsize=1)
def vocabulary() -> Vocabulary:
    """The options of `x-cloud-options`."""
    return parse_vocabulary(_data()["options"])


def parse_vocabulary(data: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary from the data of options.yaml."""
    columns = tuple(data["columns"])
    namespaces = {name: Namespace(**_tuples(entry)) for name, entry in data["namespaces"].items()}
    keys = {key: _option(key, entry, columns) for key, entry in data["keys"].items()}
    for key, entry in data["passthrough"].items():
        own = dict.fromkeys(namespaces[key.partition(".")[0]].platforms, Handling.HONOURED)
        keys[key] = _option(key, entry, (), own)
    return Vocabulary(version=data["version"], columns=columns, keys=keys, namespaces=namespaces)


@lru_cache(maxsize=1)
def platforms() -> Platforms:
    """All platforms, also those that this release cannot deploy to."""
    data = _data()["platforms"]
    entries = {
        name: Platform(name=name, **_tuples(entry | {"honoured": frozenset(entry.get("honoured", ()))}))
        for name, entry in data["platforms"].items()
    }
    return Platforms(**(data | {"platforms": entries}))


@lru_cache(maxsize=1)
def sizes() -> Mapping[str, Any]:
    """`sizes` and `families` as the file has them; `merge` with a user's."""
    return MappingProxyType(_data()["sizes"])


@lru_cache(maxsize=1)
def models() -> Mapping[str, Any]:
    """`models` as the file has them; `merge` with a user's."""
    return MappingProxyType(_data()["models"])


def flags() -> Mapping[str, Any]:
    """`allowed` and `refused` as flags.yaml has them; `drivers.flags` makes values of them."""
    return MappingProxyType(_data()["flags"])


def merge(ours: Mapping[str, Any], users: Mapping[str, Any]) -> Mapping[str, Any]:
    """The user's data over ours: maps are merged key by key, everything else is replaced."""
    merged = dict(ours)
    for key, value in users.items():
        mine = merged.get(key)
        both = isinstance(mine, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(mine, value) if both else value  # type: ignore[arg-type]
    return MappingProxyType(merged)


def _option(
    key: str, entry: dict[str, Any], columns: tuple[str, ...], handling: Mapping[str, Handling] | None = None
) -> OptionEntry:
    known = handling or {name: _SIGNS[sign] for name, sign in zip(columns, entry["signs"], strict=True)}
    rest = {name: value for name, value in entry.items() if name not in ("signs", "how")}
    return OptionEntry(key=key, handling=known, how=entry.get("how", {}), **_tuples(rest))


def _tuples(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


@lru_cache(maxsize=1)
def _data() -> dict[str, Any]:
    data: dict[str, Any] = json.loads((Path(__file__).parent / "compiled.json").read_text(encoding="utf-8"))
    return data
