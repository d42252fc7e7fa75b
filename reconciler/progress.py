"""Progress on a stream: a table redrawn in place in a terminal, one line for each change anywhere else.

Time comes in as `now_s`, so that how often something is drawn can be tested without waiting.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, TextIO

from drivers.base import Phase
from reconciler.text import clean, columns, cut, duration, padded

FRAME_S = 0.1
"""Seconds between two drawings of the table: ten in a second read as movement, more are only load."""

_HIDE_CURSOR, _SHOW_CURSOR, _ERASE_LINE, _ERASE_BELOW = "\x1b[?25l", "\x1b[?25h", "\x1b[2K", "\x1b[J"
_BAR = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One deployment as it is shown."""

    model: str
    driver: str
    phase: Phase
    detail: str = ""
    progress: float | None = None
    """0 to 1."""
    elapsed_s: float = 0.0
    """Seconds since the phase began."""
    ready_after_s: float | None = None
    """Seconds from its creation to READY, where somebody saw both."""
    endpoint: str = ""
    """The base URL, empty while there is none."""
    deployment: str = ""
    """Its id; tells apart the two deployments of a model that is being replaced."""


class Progress(Protocol):
    """Where progress goes. Used as a context manager; leaving it with an exception takes back what is not final."""

    def __enter__(self) -> Progress: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def update(self, rows: Sequence[Row], now_s: float) -> None:
        """Show these rows, all there are. `now_s` is a monotonic clock in seconds."""
        ...

    def say(self, text: str) -> None:
        """A line that stays."""
        ...


def open_progress(
    stream: TextIO,
    *,
    quiet: bool = False,
    environment: Mapping[str, str] | None = None,
    size: Callable[[], os.terminal_size] | None = None,
) -> Progress:
    """Progress as the stream can show it: a table in a terminal that understands escapes, lines elsewhere.

    `environment` is asked for TERM and CI; `size` gives the terminal's columns and lines.
    """
    given = os.environ if environment is None else environment
    if quiet:
        return Quiet()
    if stream.isatty() and given.get("TERM", "dumb") != "dumb" and not given.get("CI"):
        return LiveTable(stream, size or (lambda: os.get_terminal_size(stream.fileno())))
    return PlainLines(stream)


class Quiet:
    """Shows nothing."""

    def __enter__(self) -> Quiet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def update(self, rows: Sequence[Row], now_s: float) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""


class PlainLines:
    """One line for each change, for logs and CI: a new phase or detail, or ten more per cent."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown: dict[tuple[str, str], str] = {}

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.flush()

    def update(self, rows: Sequence[Row], now_s: float) -> None:
        for row in rows:
            line, key = change_line(row), (row.model, row.deployment)
            if self._shown.get(key) != line:
                self._shown[key] = line
                self.say(line)

    def say(self, text: str) -> None:
        self._stream.write(f"{clean(text)}\n")
        self._stream.flush()


class LiveTable:
    """The rows as a table that is redrawn in place. Each frame is one write, so an interruption never splits it."""

    def __init__(self, stream: TextIO, size: Callable[[], os.terminal_size]) -> None:
        self._stream = stream
        self._size = size
        self._drawn = 0
        self._drawn_at_s: float | None = None
        self._pending: Sequence[Row] = ()

    def __enter__(self) -> LiveTable:
        self._write(_HIDE_CURSOR)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The last rows may have come too soon after a frame to be drawn; they are what the user wants to see.
        self._write((self._frame(self._pending) if kind is None else self._erase()) + _SHOW_CURSOR)
        self._drawn = 0

    def update(self, rows: Sequence[Row], now_s: float) -> None:
        self._pending = tuple(rows)
        if self._drawn_at_s is None or now_s - self._drawn_at_s >= FRAME_S:
            self._drawn_at_s = now_s
            self._write(self._frame(self._pending))

    def say(self, text: str) -> None:
        above = f"{self._erase()}{clean(text)}\n"
        self._drawn = 0
        self._write(above + self._frame(self._pending))

    def _frame(self, rows: Sequence[Row]) -> str:
        width, height = self._size()
        # The last column stays empty, because some terminals wrap there; so does one line for the cursor.
        lines = [cut(line, width - 1) for line in _live_lines(rows, max(height - 1, 1))]
        frame = self._up() + "".join(f"{_ERASE_LINE}{line}\n" for line in lines) + _ERASE_BELOW
        self._drawn = len(lines)
        return frame

    def _erase(self) -> str:
        return self._up() + _ERASE_BELOW

    def _up(self) -> str:
        return f"\x1b[{self._drawn}A\r" if self._drawn else "\r"

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def change_line(row: Row) -> str:
    """What happened to one deployment, as a line: `llm: ready after 0.6 s at http://127.0.0.1:8080/v1/`."""
    return f"{clean(row.model)}: {_situation(row, percent_step=10)}"


def render_status(rows: Sequence[Row]) -> str:
    """The table of `reconcile status`, in full width."""
    if not rows:
        return "no models\n"
    head = ("MODEL", "PLATFORM", "PHASE", "ENDPOINT", "SINCE", "DETAIL")
    cells = [
        (row.model, row.driver, row.phase.value, row.endpoint or "-", duration(row.elapsed_s), _detail(row))
        for row in rows
    ]
    return "".join(f"{line}\n" for line in _aligned([head, *cells]))


def _live_lines(rows: Sequence[Row], room: int) -> Iterator[str]:
    shown = rows if len(rows) <= room else rows[: room - 1]
    cells = [(row.model, row.driver, _bar(row.progress), duration(row.elapsed_s), _situation(row)) for row in shown]
    yield from _aligned(cells)
    if len(shown) < len(rows):
        yield f"… and {len(rows) - len(shown)} more"


def _aligned(cells: Sequence[Sequence[str]]) -> Iterator[str]:
    tidy = [[clean(cell) for cell in line] for line in cells]
    widths = [max(columns(line[n]) for line in tidy) for n in range(len(tidy[0]))] if tidy else []
    for line in tidy:
        yield "  ".join(padded(cell, width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _situation(row: Row, percent_step: int = 1) -> str:
    detail = _detail(row, percent_step)
    if row.phase is Phase.READY:
        after = f" after {duration(row.ready_after_s)}" if row.ready_after_s is not None else ""
        return f"ready{after}{f' at {clean(row.endpoint)}' if row.endpoint else ''}"
    words = {Phase.CREATING: "starting", Phase.ABSENT: "removed", Phase.DELETING: "stopping"}
    usual = words.get(row.phase, row.phase.value)
    # For a phase that is not on its way anywhere the word matters as much as the reason.
    if row.phase in (Phase.FAILED, Phase.DEGRADED, Phase.UNKNOWN) and detail:
        return f"{usual}: {detail}"
    return detail or usual


def _detail(row: Row, percent_step: int = 1) -> str:
    percent = ""
    if row.progress is not None:
        whole = int(min(max(row.progress, 0.0), 1.0) * 100 + 1e-9)
        percent = f"{whole // percent_step * percent_step} %"
    return ", ".join(part for part in (clean(row.detail), percent) if part)


def _bar(progress: float | None) -> str:
    if progress is None:
        return " " * _BAR
    full = int(min(max(progress, 0.0), 1.0) * _BAR)
    return "█" * full + "░" * (_BAR - full)
