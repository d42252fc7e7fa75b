"""What can be wrong with what people wrote, and where.

    ReconcilerError
    ├── InputError      the file, the options or the settings must change; has a place
    ├── SourceError     the source could not be read: nothing is known, so nothing changes
    ├── NothingRecorded a command is about something that the record does not have
    └── Refused         a guard said no; exit code 3

Platform errors are `drivers.errors`; what a driver raises is translated into the record, not into an exit.
"""

from __future__ import annotations

from typing import NamedTuple

LONGEST = 1000
"""Characters of what an error quotes from a file: enough to find it, and still a line on a screen."""


class Location(NamedTuple):
    """A place in a text. `line` and `column` count from 1, as editors do; `file` is as the user named it."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class ReconcilerError(Exception):
    """Base of what this package raises on purpose; its text is meant for people."""


class InputError(ReconcilerError):
    """Something that was written must change: `compose.yaml:14:7: models.chat: …`.

    `path` is the place inside the document, `models.chat.context_size`, empty when there is none.
    """

    def __init__(self, message: str, location: Location, *, path: str = "") -> None:
        self.message = _cut(message)
        self.location = location
        self.path = _cut(path)
        super().__init__(f"{location}: {self.path + ': ' if path else ''}{self.message}")


class SourceError(ReconcilerError):
    """The source is missing, empty, unreachable or changing: keep the last good one, change nothing."""

    def __init__(self, message: str) -> None:
        super().__init__(_cut(message))


class Refused(ReconcilerError):
    """A guard refused the plan; the text says which guard and what would lift it."""


class NothingRecorded(ReconcilerError):
    """A command that needs a record, where there is none."""


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
