"""Text for people: durations and sizes as one says them, lines that fit, and nothing that could steer a terminal."""

from __future__ import annotations

import unicodedata

MOMENT = "%Y-%m-%d %H:%M:%S UTC"
"""How a point in time is written."""
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def clean(text: str) -> str:
    """The text on one line: every run of characters that do not print (escapes, line breaks, bidi marks) is one space.

    Files, platforms and llama-server's own output are quoted in reports; none of them may move the cursor.
    """
    if text.isprintable():
        return text
    spaced = "".join(letter if letter.isprintable() else "\0" for letter in text)
    return " ".join(part for part in spaced.split("\0") if part)


def duration(seconds: float) -> str:
    """`0.6 s`, `12 s`, `1 min 5 s`, `2 h 3 min`, `3 d 4 h`: the two largest units, rounded down."""
    if seconds < 10:
        # The hair keeps 0.3 from becoming 0.2: a tenth is not exact in binary.
        return f"{int(max(seconds, 0.0) * 10 + 1e-9) / 10} s"
    total = int(seconds)
    if total < 60:
        return f"{total} s"
    for size, unit, smaller, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if total >= size:
            rest = total % size // smaller
            return f"{total // size} {unit} {rest} {small_unit}" if rest else f"{total // size} {unit}"
    raise AssertionError("a minute is the smallest of the units above")


def byte_size(count: int) -> str:
    """`94 MB`, `1.2 GB`: decimal units as disks and downloads are sold, one digit after the point below ten."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    number = f"{value:.1f}" if unit and value < 9.95 else f"{value:.0f}"
    return f"{number} {_UNITS[unit]}"


def columns(text: str) -> int:
    """How many columns of a terminal the text takes: wide letters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(_letter_columns(letter) for letter in text)


def cut(text: str, width: int) -> str:
    """The text in at most `width` columns; an ellipsis stands for what was cut off."""
    if columns(text) <= width:
        return text
    kept, room = "", width - 1
    for letter in text:
        room -= _letter_columns(letter)
        if room < 0:
            break
        kept += letter
    return f"{kept}…"[: max(width, 0)]


def padded(text: str, width: int) -> str:
    return text + " " * (width - columns(text))


def _letter_columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
