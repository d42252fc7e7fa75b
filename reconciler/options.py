"""`x-cloud-options` text → typed options: vocabulary, values, precedence. Nothing unknown or wrong gets through.

Three levels speak, the nearest wins: the model, the project's defaults, the tool's settings. The vocabulary's own
defaults are not filled in here: an option is present when somebody wrote it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from drivers import catalog
from drivers.values import Accelerator, Range, Value, check_text, read
from reconciler.compose.project import RawOption
from reconciler.errors import InputError, Location

MOST_INSTANCE_TYPES = 5
"""Platforms take no longer list of stand-ins."""


ACCELERATOR_KEYS = ("cloud.accelerator", "cloud.accelerator-memory")
KEEPERS = ("cloud.protect", "cloud.deletion-policy")


class Level(Enum):
    """Who wrote an option; the nearest to the model wins."""

    MODEL = "model"
    PROJECT = "project"
    TOOL = "tool"


class Option(NamedTuple):
    """One option with its text, its value and where it was written."""

    key: str
    text: str
    value: Value
    location: Location
    level: Level


Options = Mapping[str, Option]
Platforms = Callable[[], tuple[str, ...]]
NO_OPTIONS: Options = MappingProxyType({})


class Reading(NamedTuple):
    """One level, judged: what could be read, and everything that could not, each at its place."""

    options: Options = NO_OPTIONS
    problems: tuple[InputError, ...] = ()


def read_options(
    raw: Sequence[RawOption],
    level: Level,
    *,
    path: str = "",
    allow_unknown: bool = False,
    platforms: Platforms = tuple,
) -> Reading:
    """Judge one level. `path` is the place inside the document, `models.chat`.

    With `allow_unknown`, a key that nobody knows is kept as text; `drivers.manifest` then reports it as ignored.
    `platforms` gives those of installed drivers beyond the catalogue; it is asked when the file names one.
    """
    options: dict[str, Option] = {}
    problems: list[InputError] = []
    for entry in raw:
        value, wrong = _judge(entry.key, entry.text, level is Level.TOOL, allow_unknown, platforms)
        if (first := options.get(entry.key)) is not None:
            wrong = f"option '{entry.key}' is given twice, first at {first.location}"
        if wrong:
            problems.append(InputError(wrong, entry.location, path=path))
        else:
            options[entry.key] = Option(entry.key, entry.text.strip(), value, entry.location, level)
    return Reading(options, tuple(problems))


def overlay(nearest: Options, *others: Options) -> Options:
    """All levels as one, nearest first; an option of a nearer level hides the others' of the same key."""
    if not any(others):
        return nearest
    merged = dict(nearest)
    for level in others:
        for key, option in level.items():
            merged.setdefault(key, option)
    return merged


def keeps(option: Option) -> bool:
    """Whether one of `KEEPERS` says that the model is never deleted, also when the file does not have it any more."""
    return option.value is True or option.value == "retain"


def conflicts(
    options: Options, instance_types: Sequence[str], families: Mapping[str, Mapping[str, object]]
) -> Iterator[tuple[str, str]]:
    """Options that contradict each other: (the key to change, what is wrong). `instance_types` are native ones."""
    if _text(options, "cloud.visibility") == "public" and _text(options, "cloud.auth") not in ("api-key", "iam"):
        yield "cloud.visibility", "option 'cloud.visibility=public' needs 'cloud.auth=api-key' or 'cloud.auth=iam'"
    keeper = next((key for key in KEEPERS if key in options and keeps(options[key])), "")
    for key in ("cloud.ttl", "cloud.schedule"):
        if keeper and key in options and options[key].value is not None:
            yield key, f"option '{key}' contradicts '{keeper}': the one deletes, the other one never does"
    if "cloud.ttl" in options and options["cloud.ttl"].value == 0:
        yield "cloud.ttl", "option 'cloud.ttl' leaves no time at all: write at least 1s, or off for no end"
    if "cloud.schedule" in options and options["cloud.schedule"].value is not None:
        from reconciler.timetable import wrong  # most models have none

        unheard = wrong(_text(options, "cloud.schedule"))
        if unheard:
            yield "cloud.schedule", f"option 'cloud.schedule': {unheard}"
    if instance_types and not fitting(options, instance_types, families):
        yield from _accelerator_conflicts(options, instance_types[0], families)


def fitting(
    options: Options, instance_types: Sequence[str], families: Mapping[str, Mapping[str, object]]
) -> tuple[str, ...]:
    """Those instance types that have the accelerators asked for, as far as the catalogue knows what they have."""
    if not any(key in options for key in ACCELERATOR_KEYS):
        return tuple(instance_types)
    return tuple(native for native in instance_types if not any(_accelerator_conflicts(options, native, families)))


@dataclass(frozen=True, slots=True)
class Gpus:
    """The GPUs of one native instance type."""

    name: str
    count: int
    gib: float
    """Of all of them together."""


def gpus_of(native: str, families: Mapping[str, Mapping[str, object]]) -> Gpus | None:
    """What `ml.g6.12xlarge` or `a2-highgpu-1g` carries; None where the catalogue does not know."""
    plain = native.removeprefix("ml.")
    family, _, size = plain.rpartition("." if "." in plain else "-")
    entry = families.get(family)
    if entry is None:
        return None
    counts = entry.get("counts")
    count = counts.get(size, entry["count"]) if isinstance(counts, Mapping) else entry["count"]
    return Gpus(str(entry["gpu"]), int(str(count)), float(str(entry["gib"])) * int(str(count)))


def _accelerator_conflicts(
    options: Options, native: str, families: Mapping[str, Mapping[str, object]]
) -> Iterator[tuple[str, str]]:
    gpus = gpus_of(native, families)
    if gpus is None:
        return
    wanted = options.get("cloud.accelerator")
    if wanted is not None and isinstance(wanted.value, tuple):
        names = [item for item in wanted.value if isinstance(item, Accelerator)]
        if not any(_plain(item.name) == _plain(gpus.name) and item.count == gpus.count for item in names):
            has = f"{native} has {gpus.count} × {gpus.name}"
            yield "cloud.accelerator", f"option 'cloud.accelerator={wanted.text}' contradicts the instance type: {has}"
    memory = options.get("cloud.accelerator-memory")
    if memory is not None and isinstance(memory.value, Range):
        # Vendors round: 24 GB is 22.4 GiB, and 80 GB is 80 GiB.
        total = gpus.gib * 1.0737
        if not memory.value.low * 0.93 <= total or not gpus.gib <= memory.value.high * 1.01:
            has = f"{native} has {gpus.gib:g} GiB"
            yield memory.key, f"option '{memory.key}={memory.text}' contradicts the instance type: {has}"


def _plain(name: str) -> str:
    """`nvidia-tesla-t4`, `NVIDIA_L4` and `A100-80GB` as `t4`, `l4`, `a100`."""
    word = name.lower().replace("_", "-").removeprefix("nvidia-").removeprefix("tesla-")
    head, dash, tail = word.rpartition("-")
    return (head if dash and tail.endswith("gb") else word).replace("-", "")


def _text(options: Options, key: str) -> str:
    option = options.get(key)
    return option.text if option is not None else ""


@lru_cache(maxsize=8192)
def _judge(key: str, text: str, tool: bool, allow_unknown: bool, platforms: Platforms) -> tuple[Value, str]:
    """The value, or what is wrong. Cached: a thousand models say the same few things."""
    known = catalog.vocabulary()
    entry = known.keys.get(key)
    try:
        if entry is None:
            return _passthrough(known, key, text.strip(), allow_unknown)
        if tool and not entry.engine:
            return None, f"option '{key}' belongs into the Compose file: a driver reads it there"
        choices = entry.choices
        if key == "cloud.platform" and text.strip() not in choices:
            choices = (*choices, *platforms())
        value = read(entry.type, text.strip(), choices)
        if key == "cloud.instance-type" and isinstance(value, tuple) and len(value) > MOST_INSTANCE_TYPES:
            raise ValueError(f"names more than {MOST_INSTANCE_TYPES} instance types")
        return value, ""
    except ValueError as wrong:
        return None, f"option '{key}': {wrong}"


def _passthrough(known: catalog.Vocabulary, key: str, text: str, allow_unknown: bool) -> tuple[Value, str]:
    """A key that is not in the vocabulary: text for one platform, or a mistake."""
    prefix, dot, name = key.partition(".")
    namespace = known.namespaces.get(prefix)
    check_text(text)
    if dot and namespace is not None:
        if any(word in name.lower() for word in namespace.forbidden):
            return None, f"option '{key}' bears identity or leads elsewhere: it belongs into the operator's settings"
        if not namespace.closed and name:
            return text, ""
    return (text, "") if allow_unknown else (None, _unknown(known, key))


def _unknown(known: catalog.Vocabulary, key: str) -> str:
    meant = nearest(key, known.keys)
    return f"unknown option '{key}'" + (f" (did you mean '{meant}'?)" if meant else "")


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that was probably meant."""
    # Imported here: most runs have nothing to guess.
    from difflib import get_close_matches

    found = get_close_matches(word, list(words), n=1, cutoff=0.75)
    return found[0] if found else None
