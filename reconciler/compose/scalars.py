"""What a plain YAML scalar means to Compose, that is to Go's yaml.v3: neither quite YAML 1.1 nor 1.2.

`yes`, `no`, `on`, `off` and `1:30` are strings; `010`, `0o10` and `0x8` are eight; `1_000` and `1e3` are a thousand.
"""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Any

from reconciler.compose.nodes import Timestamp

HINTS = frozenset("+-.0123456789~tTfFnN")
"""First characters of plain scalars that may be something else than a string (the empty one is null)."""

_WORDS: dict[str, Any] = {"": None, "~": None, "<<": "<<"}
_WORDS |= dict.fromkeys(("null", "Null", "NULL"))
_WORDS |= dict.fromkeys(("true", "True", "TRUE"), True)
_WORDS |= dict.fromkeys(("false", "False", "FALSE"), False)
_WORDS |= dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan)
_WORDS |= dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf)
_WORDS |= dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf)

_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))\Z")
# Texts, compiled when first used: few files have one of these.
_FLOAT = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z"
_DATE = (
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:[Tt][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]+)?(?:Z|[-+][0-9]{2}:[0-9]{2})"
    r"| [0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]+)?)?\Z"
)
_UNSIGNED_MAX = 2**64 - 1
_SIGNED_MIN = -(2**63)


def resolve(text: str) -> Any:
    """The value of an untagged plain scalar: str, int, float, bool, None or Timestamp."""
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if first == ".":
        return _float(text)
    if first not in "+-0123456789":
        return text
    if _is_date(text):
        return Timestamp(text)
    plain = text.replace("_", "")
    number = _integer(plain)
    if number is not None:
        return number
    value = _float(plain)
    return text if type(value) is str else value


def _integer(plain: str) -> int | None:
    """A 64-bit integer; a larger one is no integer (yaml.v3 goes on to read it as a float)."""
    match = _INTEGER.match(plain)
    if match is None or len(plain) > 70:
        return None
    sign, hexadecimal, binary, octal, decimal = match.groups()
    if hexadecimal:
        number = int(hexadecimal, 16)
    elif binary:
        number = int(binary, 2)
    else:
        number = int(octal, 8) if octal else int(decimal)
    if sign == "-":
        number = -number
    largest = _UNSIGNED_MAX if not sign else -_SIGNED_MIN - 1
    return number if _SIGNED_MIN <= number <= largest else None


def _float(plain: str) -> Any:
    """The float, or the text itself where it is none or is out of range."""
    if not re.match(_FLOAT, plain):
        return plain
    value = float(plain)
    return plain if math.isinf(value) else value


def _is_date(text: str) -> bool:
    match = re.match(_DATE, text) if len(text) >= 8 and text[4] == "-" else None
    if match is None:
        return False
    try:
        date(int(match[1]) or 1, int(match[2]), int(match[3]))
    except ValueError:
        return False
    return True
