"""One input judged within its bounds: refused, accepted, or a finding that has a name."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from tests import parts
from tests.fuzz.inputs import Input
from tests.fuzz.path import Subject

CPU_S = 2.0
"""Processor time that one input may take: some thousand times what it usually takes, and as much on a busy machine."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one input."""

    place: str = ""
    """Where it was refused; empty where it was accepted."""
    finding: str = ""
    """What must not have happened: the kind of error, and the function of ours it came from. Empty for none."""
    trace: str = ""
    took_s: float = 0.0
    """Processor time."""


class _TooLong(BaseException):
    """Raised wherever the code is at that moment; no `except Exception` holds it up."""


def judge(given: Input, subject: Subject, cpu_s: float = CPU_S) -> Verdict:
    """Follow the input. For the main thread only: the bound is a signal."""
    began = time.process_time()
    try:
        with _within(cpu_s):
            place = subject(given)
    except (Exception, _TooLong) as error:  # noqa: BLE001 - that is what is looked for
        took_s = time.process_time() - began
        if isinstance(error, _TooLong):
            return Verdict(finding=f"longer than {cpu_s:g} s", trace=traceback.format_exc(), took_s=took_s)
        return Verdict(finding=_name(error), trace=traceback.format_exc(), took_s=took_s)
    return Verdict(place=place, took_s=time.process_time() - began)


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise _TooLong once this process has computed for so long: the time of others does not count."""

    def too_long(number: int, frame: FrameType | None) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _name(error: Exception) -> str:
    """Two inputs with one mistake behind them get one name."""
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(_OURS)]
    where = f"{ours[-1].filename.removeprefix(_OURS)}:{ours[-1].name}" if ours else "elsewhere"
    what = f": {str(error)[:60]}" if isinstance(error, AssertionError) else ""
    return f"{type(error).__name__} in {where}{what}"


_OURS = f"{parts.CHECKOUT}/"
