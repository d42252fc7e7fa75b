"""The index that Search reads: what endpoints looked like a while ago, when it is made to lag."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

Record = Mapping[str, Any]


class Index:
    """Per region and name the records that were written, each with the moment from which Search sees it."""

    def __init__(self) -> None:
        self._written: dict[str, dict[str, list[tuple[datetime, Record | None]]]] = {}

    def write(self, region: str, name: str, record: Record | None, at: datetime, lag_s: float) -> None:
        """An endpoint looks like this from now on, None for gone; Search learns of it `lag_s` later."""
        written = self._written.setdefault(region, {}).setdefault(name, [])
        if not written or written[-1][1] != record:
            written.append((at + timedelta(seconds=lag_s), record))

    def read(self, region: str, now: datetime) -> tuple[Record, ...]:
        """What Search sees."""
        names = self._written.get(region, {})
        seen = []
        for name, written in tuple(names.items()):
            visible = [entry for entry in written if entry[0] <= now]
            if visible:
                del written[: len(visible) - 1]
            if visible and visible[-1][1] is not None:
                seen.append(visible[-1][1])
            elif visible and len(written) == 1:
                del names[name]
        return tuple(seen)

    def reset(self) -> None:
        self._written.clear()
