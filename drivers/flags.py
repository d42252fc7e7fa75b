"""`runtime_flags`: which of them llama-server may be given, and in which words. Pure; the list is catalog/flags.yaml.

Flags come from a repository, llama-server runs on somebody's machine, and some of its options run programs. So this is
an allow-list with a type and bounds for every value: what is not known is refused, and a value is never passed on
because it merely looks harmless.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from drivers import catalog as data
from drivers.base import Finding, Handling

MOST_FLAGS = 128
LONGEST = 4096

_FLAG = re.compile(r"--?[A-Za-z][A-Za-z0-9._-]*")
_INT = re.compile(r"-?[0-9]{1,10}")
_FLOAT = re.compile(r"-?[0-9]{1,10}([.][0-9]{1,10})?")


class Refusal(Exception):
    """Why a flag is not passed on: the rule's name, and a reason."""

    def __init__(self, rule: str, why: str) -> None:
        super().__init__(f"refused by the rule '{rule}': {why}")


class Flag(NamedTuple):
    """One allowed option with all its names."""

    names: tuple[str, ...]
    """The first one is what `value_of` calls it."""
    kind: str = "switch"
    """`switch`, `int`, `float`, `choice`, `text` or `json`."""
    low: float = 0
    high: float = 0
    choices: tuple[str, ...] = ()
    pattern: str = ""
    bare: str | None = None
    """The value that is meant where the option stands alone; None where it cannot."""

    def check(self, value: str) -> None:
        """Refuse a value that is not of this type or out of bounds."""
        wrong = _CHECKS[self.kind](self, value)
        if wrong:
            raise Refusal("value", f"{self.names[0]} {wrong}")


class Rule(NamedTuple):
    """Why some options are never passed on."""

    name: str
    why: str


class Catalog(NamedTuple):
    """Every option that is known, by every one of its names."""

    version: str
    allowed: Mapping[str, Flag]
    refused: Mapping[str, Rule]


class _Parsed:
    """One flag and what becomes of it; `items` are the list positions it came from."""

    def __init__(self, items: list[int]) -> None:
        self.items = items
        self.flag: Flag | None = None
        self.arguments: tuple[str, ...] = ()
        self.refusal: Refusal | None = None
        self.notes: list[str] = []


def judge(flags: Sequence[str]) -> tuple[Finding, ...]:
    """One finding per list item, `runtime_flags[i]`; a value in an item of its own shares its flag's fate."""
    return _judge(tuple(flags))


@lru_cache(maxsize=1024)
def _judge(flags: tuple[str, ...]) -> tuple[Finding, ...]:
    """Cached: a thousand models are given the same few flags."""
    findings: dict[int, Finding] = {}
    for parsed in _parse(flags):
        if parsed.refusal is not None:
            handling, detail = Handling.REJECTED, str(parsed.refusal)
        else:
            handling = Handling.TRANSLATED if parsed.notes else Handling.HONOURED
            detail = "; ".join(parsed.notes)
        for index in parsed.items:
            findings[index] = Finding(f"runtime_flags[{index}]", handling, detail)
    return tuple(findings[index] for index in sorted(findings))


def arguments(flags: Sequence[str]) -> tuple[str, ...]:
    """The flags as llama-server takes them, option and value apart. Raises Refusal at the first that is refused."""
    result: list[str] = []
    for parsed in _parse(flags):
        if parsed.refusal is not None:
            raise parsed.refusal
        result.extend(parsed.arguments)
    return tuple(result)


def value_of(flags: Sequence[str], name: str) -> str | None:
    """The value of an option under any of its names; the name used, for a switch; None where it is not given."""
    wanted = catalog().allowed[name]
    found = (parsed.arguments for parsed in _parse(flags) if parsed.flag is wanted and parsed.refusal is None)
    return next((words[-1] for words in found), None)


@lru_cache(maxsize=1)
def catalog() -> Catalog:
    """The list as values."""
    values = data.flags()
    allowed = {name: flag for flag in map(_flag, values["allowed"]) for name in flag.names}
    refused = {name: Rule(entry["rule"], entry["why"]) for entry in values["refused"] for name in entry["names"]}
    return Catalog(values["version"], allowed, refused)


def _flag(entry: Mapping[str, Any]) -> Flag:
    names, bare = tuple(entry["names"]), entry.get("bare")
    for kind in ("int", "float"):
        if kind in entry:
            low, high = entry[kind]
            return Flag(names=names, kind=kind, low=low, high=high, bare=bare)
    if "choice" in entry:
        return Flag(names=names, kind="choice", choices=tuple(entry["choice"]), bare=bare)
    if "text" in entry:
        return Flag(names=names, kind="text", pattern=entry["text"])
    if "json" in entry:
        return Flag(names=names, kind="json", high=entry["json"])
    return Flag(names=names)


def _parse(flags: Sequence[str]) -> list[_Parsed]:
    found: list[_Parsed] = []
    given: set[tuple[str, ...]] = set()
    index = 0
    while index < len(flags):
        parsed = _one(flags, index)
        if parsed.refusal is None and parsed.flag is not None:
            if parsed.flag.names in given:
                parsed.refusal = Refusal("repeated", f"{parsed.flag.names[0]} is given twice, perhaps by another name")
            given.add(parsed.flag.names)
        if index >= MOST_FLAGS:
            parsed.refusal = Refusal("too many", f"there are more than {MOST_FLAGS} flags")
        found.append(parsed)
        index += len(parsed.items)
    return found


def _one(flags: Sequence[str], index: int) -> _Parsed:
    parsed = _Parsed([index])
    try:
        name, value = _split(flags[index])
        parsed.flag = _known(name, parsed)
        if value is None and _takes_next(parsed.flag, flags, index):
            parsed.items.append(index + 1)
            value = flags[index + 1]
            _check_text(value)
        parsed.arguments = _words(parsed, name, value)
    except Refusal as refusal:
        parsed.refusal = refusal
        if len(parsed.items) == 1 and parsed.flag is None and _is_value_of_refused(flags, index):
            parsed.items.append(index + 1)
    return parsed


def _split(item: str) -> tuple[str, str | None]:
    """`--flag=value` and `--flag value` in one text → the name as llama-server spells it, and the value."""
    _check_text(item)
    if not item.startswith("-"):
        raise Refusal("not a flag", f"{_shown(item)} is a value without a flag before it")
    match = re.fullmatch(r"([^\s=]+)(?:=|\s+)?(.*)", item, re.DOTALL)
    name, rest = (match[1], match[2]) if match else (item, "")
    if not _FLAG.fullmatch(name.replace("_", "-")):
        raise Refusal("not a flag", f"{_shown(name)} does not look like an option")
    return name, rest if len(rest) or item != name else None


def _known(name: str, parsed: _Parsed) -> Flag:
    spelled = _spelled(name)
    known = catalog()
    if spelled in known.allowed:
        if spelled != name:
            parsed.notes.append(f"written {spelled}")
        return known.allowed[spelled]
    if spelled in known.refused:
        rule = known.refused[spelled]
        raise Refusal(rule.name, f"{spelled}: {rule.why}")
    raise Refusal("unknown flag", f"{_shown(name)} is not on the list of flags that may be passed on{_hint(spelled)}")


def _words(parsed: _Parsed, name: str, value: str | None) -> tuple[str, ...]:
    flag, spelled = parsed.flag, _spelled(name)
    assert flag is not None
    if flag.kind == "switch":
        if value is not None:
            raise Refusal("value", f"{spelled} takes no value")
        return (spelled,)
    if value is None:
        if flag.bare is None:
            raise Refusal("value", f"{spelled} needs a value")
        parsed.notes.append(f"given as {spelled} {flag.bare}")
        value = flag.bare
    flag.check(value)
    return (spelled, value)


def _takes_next(flag: Flag, flags: Sequence[str], index: int) -> bool:
    if flag.kind == "switch" or index + 1 >= len(flags):
        return False
    following = flags[index + 1]
    if flag.bare is not None:
        return following in flag.choices
    return not _is_option(following)


def _is_value_of_refused(flags: Sequence[str], index: int) -> bool:
    """Whether the next item is the refused option's value: it is refused with it, by the same rule."""
    name = flags[index].split("=")[0]
    takes_one = "=" not in flags[index] and " " not in flags[index] and _FLAG.fullmatch(name.replace("_", "-"))
    return bool(takes_one) and index + 1 < len(flags) and not flags[index + 1].startswith("-")


def _is_option(text: str) -> bool:
    """A dash and no digit: `-1` is a value, `--log-file` behind `--seed` is an option that waits to be taken."""
    return text.startswith("-") and not _FLOAT.fullmatch(text)


def _check_text(text: str) -> None:
    if not text.strip():
        raise Refusal("empty", "there is nothing in it")
    if len(text) > LONGEST:
        raise Refusal("too long", f"it has more than {LONGEST} characters")
    if not text.isprintable():
        raise Refusal("control characters", "it contains a line break or another invisible character")


def _spelled(name: str) -> str:
    """llama-server reads `_` in a long option as `-`."""
    return name.replace("_", "-") if name.startswith("--") else name


def _hint(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, catalog().allowed, n=1, cutoff=0.8)
    return f" (did you mean {near[0]}?)" if near else ""


def _shown(text: str) -> str:
    """Enough of a text to find it; a value may be long, or hold what does not belong on a screen."""
    return repr(text if len(text) <= 48 else text[:45] + "...")


def _check_int(flag: Flag, value: str) -> str:
    if not _INT.fullmatch(value):
        return "needs a whole number"
    return "" if flag.low <= int(value) <= flag.high else f"must be between {flag.low} and {flag.high}"


def _check_float(flag: Flag, value: str) -> str:
    if not _FLOAT.fullmatch(value) or not math.isfinite(float(value)):
        return "needs a number"
    return "" if flag.low <= float(value) <= flag.high else f"must be between {flag.low} and {flag.high}"


def _check_choice(flag: Flag, value: str) -> str:
    return "" if value in flag.choices else f"must be one of {', '.join(flag.choices)}"


def _check_text_value(flag: Flag, value: str) -> str:
    if _is_option(value):  # the server takes it for a value today; nothing may depend on that
        return "takes a text, not an option"
    return "" if re.fullmatch(flag.pattern, value) else "has a value of another form than it takes"


def _check_json(flag: Flag, value: str) -> str:
    if len(value) > flag.high or "\\" in value or "/" in value:
        return f"takes a JSON object of at most {flag.high:g} characters, without slashes"
    try:
        return "" if isinstance(json.loads(value), dict) else "takes a JSON object"
    except (ValueError, RecursionError):
        return "takes a JSON object"


_CHECKS = {
    "int": _check_int,
    "float": _check_float,
    "choice": _check_choice,
    "text": _check_text_value,
    "json": _check_json,
}
