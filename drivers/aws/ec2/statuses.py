"""AWS's own status checks, asked for only when a machine does not answer, and then for all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock

from drivers.aws.ec2.platform import Platform
from drivers.errors import DriverError


class Statuses:
    """Of the machines `ids`; without them of whichever is asked about."""

    def __init__(self, platform: Platform, ids: Sequence[str] = ()) -> None:
        self._platform, self._ids = platform, tuple(ids)
        self._known: Mapping[str, str] | None = None
        self._lock = Lock()

    def of(self, id: str) -> str:
        """What is wrong with the machine by AWS's checks; empty where nothing is, or that cannot be found out."""
        with self._lock:
            if self._known is None:
                try:
                    self._known = self._platform.impaired(self._ids or (id,))
                except DriverError:
                    self._known = {}
            return self._known.get(id, "")
