"""The two comment lines at the top of every file that we write: whose it is, under which lease, and its checksum.

`#` begins a comment in YAML and in env files, so one form serves both. Text only; `write.py` has the files.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

FIRST_LINE = "# Written by compose-model-reconciler. Edits are overwritten."
_SECOND_LINE = re.compile(
    r"# lineage: (?P<lineage>\S+) project: (?P<project>\S+) epoch: (?P<epoch>\d{1,18}) serial: (?P<serial>\d{1,18})"
    r" sha256: (?P<sha256>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who wrote a file, and under which lease."""

    lineage: str
    project: str
    epoch: int
    """The fencing token of the lease: a file is never written under a lower one than it carries."""
    serial: int
    """Of the state that the content comes from; for people, it never makes two files differ."""


@dataclass(frozen=True, slots=True)
class Damaged:
    """A file that begins as ours and whose second line cannot be read."""


def compose(stamp: Stamp, body: str) -> str:
    """The text of a file: our two lines and the body."""
    if any(re.fullmatch(r"\S+", word) is None for word in (stamp.lineage, stamp.project)):
        raise ValueError(f"lineage and project of a stamp are single words: {stamp}")
    checksum = hashlib.sha256(body.encode()).hexdigest()
    return (
        f"{FIRST_LINE}\n# lineage: {stamp.lineage} project: {stamp.project} epoch: {stamp.epoch}"
        f" serial: {stamp.serial} sha256: {checksum}\n{body}"
    )


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it stands, taken apart."""

    data: bytes
    mode: int
    stamp: Stamp | Damaged | None
    body: str
    intact: bool
    """As we wrote it: the body has the checksum that our line names."""

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def says(self, body: str, stamp: Stamp) -> bool:
        same_owner = isinstance(self.stamp, Stamp) and (self.stamp.lineage, self.stamp.project) == (
            stamp.lineage,
            stamp.project,
        )
        return same_owner and self.intact and self.body == body


def parse(data: bytes, mode: int) -> Found:
    """Take a file's bytes apart; never fails, whatever they are. `mode` is carried along."""
    first, _, rest = data.decode("utf-8", "replace").partition("\n")
    if first != FIRST_LINE:
        return Found(data, mode, None, "", False)
    second, _, body = rest.partition("\n")
    match = _SECOND_LINE.fullmatch(second)
    if match is None:
        return Found(data, mode, Damaged(), body, False)
    stamp = Stamp(match["lineage"], match["project"], int(match["epoch"]), int(match["serial"]))
    return Found(data, mode, stamp, body, hashlib.sha256(body.encode()).hexdigest() == match["sha256"])
