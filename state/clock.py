"""The clocks a store needs, as one value, so that tests and the simulator bring their own.

A lease never hangs on the wall clock: it may jump. It hangs on the time since boot, which goes on while the machine
sleeps and is the same for all processes, together with the identity of that boot.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Four readings; all seconds are floats."""

    now: Callable[[], datetime]
    """Wall clock, aware UTC; for people only."""
    monotonic: Callable[[], float]
    """This process's own, for the holder's local deadline."""
    since_boot: Callable[[], float]
    """Shared by all processes of this boot, for the lease row."""
    boot_id: str
    """Differs after every boot."""


def system_clock() -> Clock:
    """The machine's clocks."""
    return Clock(now=_now, monotonic=time.monotonic, since_boot=_since_boot, boot_id=_boot_id())


def _now() -> datetime:
    return datetime.now(UTC)


def _since_boot() -> float:
    # Where there is no CLOCK_BOOTTIME (macOS), the monotonic clock is also shared by all processes.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "this boot"
