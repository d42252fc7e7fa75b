"""The grammar of option values: text in, typed value out. Drivers and the reconciler read options with it.

A function that cannot read a text raises ValueError with a sentence that says what is accepted; the caller adds the
option's name and its place. Nothing here touches the world, so an option means the same wherever it is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from drivers.schedules import Schedule, schedule
from drivers.shapes import SHAPES

_DURATION = r"([0-9]{1,9})(s|m|h|d)"
_SIZE = r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?(?:([kKMGT]i?)B?|B)"
_NUMBER = r"-?[0-9]{1,15}(?:\.[0-9]{1,9})?"
_MOST_SECONDS = 3650 * 86_400
"""Beyond it, adding to a time of today would leave the calendar some day."""
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4}
_TRUE, _FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Range:
    """`low` to `high`, both included; a single number has the same two ends."""

    low: float
    high: float

    def __contains__(self, number: float) -> bool:
        return self.low <= number <= self.high


class Retry(NamedTuple):
    """How often to try, and the first pause in seconds; None leaves the pause to the caller."""

    attempts: int
    backoff_s: int | None = None


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A kind of accelerator in the vendor's word, and how many of them."""

    name: str
    count: int = 1


Item = str | float | Accelerator
Value = str | bool | int | float | Range | Schedule | Retry | tuple[Item, ...] | Mapping[str, str] | None


def read(kind: str, text: str, choices: Sequence[str] = ()) -> Value:
    """The value of an option of type `kind` (a `type` of catalog/options.yaml). Raises ValueError: what is accepted."""
    check_text(text)
    if kind == "choice":
        return choice(text, choices)
    if kind in _READERS:
        return _READERS[kind](text)
    if kind in SHAPES:
        return _shaped(kind, text)
    return tuple(_shaped(kind.removesuffix("s"), item) for item in comma_list(text))


def check_text(text: str) -> None:
    """Refuse what no option needs and some consumer would stumble over: control characters, and very long texts."""
    if not text:
        raise ValueError("has no value")
    if len(text) > _LONGEST:
        raise ValueError(f"is longer than {_LONGEST} characters")
    if not text.isprintable():
        raise ValueError("contains a control or invisible character")


def duration(text: str) -> int | None:
    """Seconds of `90s`, `15m`, `2h`, `1d`; None for `off`."""
    if text == "off":
        return None
    match = re.fullmatch(_DURATION, text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write 90s, 15m, 2h, 1d or off")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds > _MOST_SECONDS:
        raise ValueError(f"{text!r} is longer than ten years: write off for no end")
    return seconds


def size(text: str) -> int:
    """Bytes of `24GB` (powers of 1000) or `512MiB` (powers of 1024)."""
    match = re.fullmatch(_SIZE, text)
    if match is None:
        raise ValueError(f"{text!r} is not a size: write 24GB, 1.5TB or 512MiB")
    unit = (match[2] or "").lower()
    base = 1024 if unit.endswith("i") else 1000
    return int(float(match[1]) * base ** _POWERS.get(unit[:1], 0))


def sizes(text: str) -> Range:
    """A size or a range of sizes, `16GB..64GB`, in bytes."""
    return _ends(text, size)


def number(text: str) -> float:
    """A plain decimal number; no exponent, no infinity."""
    if re.fullmatch(_NUMBER, text) is None:
        raise ValueError(f"{text!r} is not a number")
    return float(text)


def integer(text: str) -> int:
    """A whole number, 0 or more."""
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def count(text: str) -> int:
    """A whole number, 1 or more."""
    if (value := integer(text)) < 1:
        raise ValueError("must be 1 or more")
    return value


def money(text: str) -> float:
    """USD, more than nothing: `2.50`."""
    try:
        value = number(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an amount in USD: write 2.50") from None
    if not (math.isfinite(value) and value > 0):
        raise ValueError("must be more than 0 USD")
    return value


def boolean(text: str) -> bool:
    """`true` or `false` (also yes, no, on, off); a bare key arrives here as `true`."""
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise ValueError(f"{text!r} is neither true nor false")


def choice(text: str, choices: Sequence[str]) -> str:
    """One word of `choices`."""
    if text not in choices:
        raise ValueError(f"{text!r} is not one of {', '.join(choices)}")
    return text


def comma_list(text: str) -> tuple[str, ...]:
    """`a, b,c` in its order; of an empty text nothing. Empty entries and repetitions are mistakes."""
    if not text:
        return ()
    found = tuple(item.strip() for item in text.split(","))
    if "" in found:
        raise ValueError("has an empty entry: write a,b,c")
    if len(set(found)) != len(found):
        raise ValueError("names the same entry twice")
    return found


def accelerators(text: str) -> tuple[Accelerator, ...]:
    """`L4`, `nvidia-l4:2`, or several in order of preference."""
    return tuple(_accelerator(item) for item in comma_list(text))


def pairs(text: str) -> Mapping[str, str]:
    """`team:search,stage:test`."""
    split = [item.partition(":") for item in comma_list(text)]
    if not all(key.strip() and colon for key, colon, _ in split):
        raise ValueError("is not a list of pairs: write team:search,stage:test")
    found = {key.strip(): value.strip() for key, _, value in split}
    if len(found) != len(split):
        raise ValueError("names the same key twice")
    return MappingProxyType(found)


def retry(text: str) -> Retry:
    """`5@30s`: five attempts, the first pause 30 seconds; `5` leaves the pause open."""
    attempts, at, pause = text.partition("@")
    if not re.fullmatch(r"[1-9][0-9]{0,2}", attempts):
        raise ValueError(f"{text!r} is not a number of attempts and a pause: write 5@30s")
    backoff_s = duration(pause) if at else None
    if at and not backoff_s:
        raise ValueError("needs a pause of at least 1s after @: write 5@30s")
    return Retry(int(attempts), backoff_s)


def _ends(text: str, one: Callable[[str], float]) -> Range:
    low, dots, high = text.partition("..")
    found = Range(one(low), one(high)) if dots else Range(one(text), one(text))
    if found.low > found.high:
        raise ValueError(f"{text!r} is not a range: the smaller end comes first")
    return found


def whole_range(text: str) -> Range:
    """`2`, or `1..4`, in whole numbers."""
    try:
        return _ends(text, integer)
    except ValueError as wrong:
        raise ValueError(f"{wrong}: write 2 or 1..4") from None


def _accelerator(item: str) -> Accelerator:
    name, colon, how_many = item.partition(":")
    return Accelerator(_shaped("name", name), count(how_many) if colon else 1)


def _layers(text: str) -> str | int:
    return text if text in ("auto", "all") else integer(text)


def _shaped(kind: str, text: str) -> str:
    shape = SHAPES[kind]
    if not shape.fits(text):
        raise ValueError(f"{'the value' if shape.quiet else repr(text)} {shape.wrong}")
    return text


_READERS: Mapping[str, Callable[[str], Value]] = {
    "accelerators": accelerators,
    "bool": boolean,
    "count": count,
    "duration": duration,
    "int": integer,
    "layers": _layers,
    "money": money,
    "number": number,
    "numbers": lambda text: tuple(number(item.strip()) for item in text.split(",")),
    "pairs": pairs,
    "range": whole_range,
    "retry": retry,
    "schedule": lambda text: None if text == "off" else schedule(text),
    "size": size,
    "sizes": sizes,
    "text": str,
}
