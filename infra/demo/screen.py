"""What the demonstration shows: steps with the time they began at, facts, commands and their output."""

from __future__ import annotations

import sys
import time
from pathlib import Path


class Screen:
    """Writes to the terminal as things happen; colours only where there is one."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._colour = sys.stdout.isatty()

    def step(self, text: str) -> None:
        self._print(f"\n{self._paint('1;36', f'{self._seconds():6.1f} s')}  {self._paint('1', text)}")

    def shell(self, command: str) -> None:
        self._print(f"          {self._paint('33', '$ ' + command)}")

    def fact(self, name: str, value: str, *, good: bool | None = None) -> None:
        colour = "0" if good is None else "1;32" if good else "1;31"
        self._print(f"          {name}: {self._paint(colour, value)}")

    def text(self, text: str) -> None:
        for line in text.splitlines():
            self._print(f"          {self._paint('2', '│')} {line}")

    def note(self, text: str) -> None:
        self._print(f"          {self._paint('2', text)}")

    def trouble(self, text: str, log: Path) -> None:
        """What went wrong, and the last lines of the service's log."""
        self._print(self._paint("1;31", f"\nit did not work: {text}"))
        if log.exists():
            self.text("\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:]))

    def summary(self) -> None:
        self._print(f"\nall of it took {self._seconds():.0f} s")

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _paint(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour else text

    def _print(self, text: str) -> None:
        print(text, flush=True)
