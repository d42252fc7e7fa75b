"""Reading GGUF's values out of a file that may lie: a window that moves forward, and checks every length first."""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

WINDOW = 1 << 20
"""Bytes held at a time."""
LONGEST_HEADER = 256 << 20
"""Bytes of metadata and tensor table together; the largest real ones have about 20 MB."""
LONGEST_TEXT = 1 << 20
"""Bytes; longer texts are skipped, no question we have is answered by them."""
LONGEST_NAME = 1 << 16
LONGEST_KEPT_ARRAY = 4096
"""Elements; per-layer numbers fit, token lists are only counted."""

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_STRING, _ARRAY = 8, 9
_SCALARS = {
    number: struct.Struct("<" + code)
    for number, code in {
        0: "B",
        1: "b",
        2: "H",
        3: "h",
        4: "I",
        5: "i",
        6: "f",
        7: "?",
        10: "Q",
        11: "q",
        12: "d",
    }.items()
}


class ArrayLength:
    """An array that was counted and not kept."""

    __slots__ = ("_length",)

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length


class Window:
    """A forward reader. Whatever lies beyond the file, or beyond `LONGEST_HEADER`, is a ValueError."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.size = size
        self._file = file
        self._end = min(size, LONGEST_HEADER)
        self._buffer = b""
        self._base = 0
        self._at = 0

    @property
    def position(self) -> int:
        """Bytes from the beginning of the file."""
        return self._base + self._at

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        self._need(count)
        start, self._at = self._at, self._at + count
        return self._buffer[start : self._at]

    def scalar(self, form: struct.Struct) -> Any:
        """The next number of that form."""
        return form.unpack(self.take(form.size))[0]

    def u32(self) -> int:
        """The next unsigned 32-bit number."""
        return int(self.scalar(_U32))

    def u64(self) -> int:
        """The next unsigned 64-bit number."""
        return int(self.scalar(_U64))

    def u64s(self, count: int) -> tuple[int, ...]:
        """The next `count` unsigned 64-bit numbers; `count` must be small."""
        return struct.unpack(f"<{count}Q", self.take(8 * count))

    def short_text(self, what: str) -> str:
        """The next string, which must not be longer than a name may be."""
        length = self.u64()
        if length > LONGEST_NAME:
            raise ValueError(f"{what} has {length} bytes")
        return self.take(length).decode("utf-8", "replace")

    def text(self) -> str | None:
        """The next string; None, skipped, where it is too long to matter."""
        length = self.u64()
        if length > LONGEST_TEXT:
            self.skip(length)
            return None
        return self.take(length).decode("utf-8", "replace")

    def skip(self, count: int) -> None:
        """Go on `count` bytes without reading them."""
        self._check(count)
        self._at += count
        if self._at > len(self._buffer):
            self._base, self._at, self._buffer = self.position, 0, b""

    def skip_strings(self, count: int) -> None:
        """Go on `count` strings. A vocabulary has 150 000 of them, so this loop is the one that must be tight."""
        self._check(8 * count)
        unpack = _U64.unpack_from
        while count:
            self._need(8)
            buffer, at = self._buffer, self._at
            last = len(buffer) - 8
            for done in range(count):  # noqa: B007 (read after the loop)
                if at > last:
                    break
                at += 8 + unpack(buffer, at)[0]
            else:
                done = count
            count -= done
            self.skip(at - self._at)

    def _check(self, count: int) -> None:
        if count > self._end - self.position:
            raise ValueError(
                f"it ends early: {count} bytes are promised at {self.position}, the header ends at {self._end}"
            )

    def _need(self, count: int) -> None:
        if self._at + count <= len(self._buffer):
            return
        self._check(count)
        self._base, self._at = self.position, 0
        self._file.seek(self._base)
        wanted = min(max(WINDOW, count), self._end - self._base)
        parts: list[bytes] = []
        while wanted:
            part = self._file.read(wanted)
            if not part:
                raise ValueError("it became shorter while it was read")
            parts.append(part)
            wanted -= len(part)
        self._buffer = b"".join(parts)


def read_value(window: Window, kind: int) -> Any:
    """The next metadata value: a number, a text, None for one too long, a short tuple of numbers or an ArrayLength."""
    if kind == _STRING:
        return window.text()
    if kind == _ARRAY:
        return _array(window, window.u32(), window.u64())
    form = _SCALARS.get(kind)
    if form is None:
        raise ValueError(f"it holds a value of the unknown type {kind}")
    return window.scalar(form)


def _array(window: Window, kind: int, length: int) -> tuple[Any, ...] | ArrayLength:
    if kind == _STRING:
        window.skip_strings(length)
        return ArrayLength(length)
    form = _SCALARS.get(kind)
    if form is None:
        # The format allows arrays of arrays; no model has them and llama.cpp refuses them too.
        raise ValueError(f"it holds an array of the type {kind}")
    if length > LONGEST_KEPT_ARRAY:
        window.skip(length * form.size)
        return ArrayLength(length)
    return struct.unpack(f"<{length}{form.format[1:]}", window.take(length * form.size))
