"""What a run came to: as text for people, as JSON for programs. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from infra.soak.figures import MOST_GROWTH, Times, by_occasion, growths, measures, times
from infra.soak.looks import Look, Request, Window

RECOVERY_S = 90.0
"""Seconds within which everything is well again after a fault is over, or a commit was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Everything that was seen."""

    seed: int
    seconds: float
    looks: Sequence[Look]
    requests: Sequence[Request]
    windows: Sequence[Window]
    broken: Sequence[str]
    """What did not hold, each with when."""
    worst_orphan_s: float
    interrupted: bool = False

    @property
    def is_good(self) -> bool:
        return not self.verdicts()

    def verdicts(self) -> tuple[str, ...]:
        """Everything that makes the run a bad one."""
        return (*self.broken, *self._slow(), *self._failed(), *self._grown())

    def _slow(self) -> Iterator[str]:
        for window in self.windows:
            if window.recovery_s is not None and window.recovery_s > RECOVERY_S and not self._is_disturbed(window):
                yield f"{window.name}: all was well only {window.recovery_s:.0f} s later"
            if window.ended_s is None and not self.interrupted:
                yield f"{window.name}: it was never well again"

    def _failed(self) -> Iterator[str]:
        for occasion, requests in by_occasion(self.requests, self.windows).items():
            failed = [request for request in requests if request.error]
            if occasion != "fault" and failed:
                first = failed[0]
                yield f"{len(failed)} requests failed ({occasion}); at {first.at_s:.1f} s {first.model}: {first.error}"

    def _grown(self) -> Iterator[str]:
        for growth in growths(self.looks):
            if not growth.is_fine:
                most = MOST_GROWTH[growth.measure]
                yield f"{growth.measure}: from {growth.before:.1f} to {growth.after:.1f}, allowed are {most:g} more"

    def _is_disturbed(self, window: Window) -> bool:
        """A commit amid a fault takes as long as the fault."""
        if window.is_fault or window.ended_s is None:
            return False
        return any(other.is_fault and other.overlaps(window.began_s, window.ended_s) for other in self.windows)

    def recoveries(self, *, faults: bool) -> Times:
        """Of the faults, or of the commits that no fault disturbed."""
        chosen = (one for one in self.windows if one.is_fault == faults and not self._is_disturbed(one))
        return times([one.recovery_s for one in chosen if one.recovery_s is not None])


def as_json(run: Run) -> dict[str, object]:
    return {
        "format_version": "1",
        "seed": run.seed,
        "seconds": round(run.seconds, 1),
        "interrupted": run.interrupted,
        "good": run.is_good,
        "verdicts": list(run.verdicts()),
        "requests": {name: _requests_json(those) for name, those in by_occasion(run.requests, run.windows).items()},
        "failures": [_failure_json(request) for request in run.requests if request.error],
        "faults": [_window_json(window) for window in run.windows if window.is_fault],
        "commits": [_window_json(window) for window in run.windows if not window.is_fault],
        "recovery_s": {
            "faults": _times_json(run.recoveries(faults=True)),
            "commits": _times_json(run.recoveries(faults=False)),
        },
        "growth": {
            one.measure: {"before": round(one.before, 1), "after": round(one.after, 1)} for one in growths(run.looks)
        },
        "peak": {name: round(value, 1) for name, value in _peaks(run.looks).items()},
        "most_servers": most_servers(run.looks),
        "longest_orphan_s": round(run.worst_orphan_s, 1),
    }


def as_text(run: Run) -> str:
    return "\n".join(_lines(run)) + "\n"


def _lines(run: Run) -> Iterator[str]:
    yield f"{run.seconds / 60:.1f} minutes, seed {run.seed}{', interrupted' if run.interrupted else ''}"
    yield ""
    yield f"{'requests':<32}{'sent':>8}{'failed':>8}   median / p99 / worst"
    for occasion, requests in by_occasion(run.requests, run.windows).items():
        failed = sum(bool(request.error) for request in requests)
        yield f"  {_OCCASIONS[occasion]:<30}{len(requests):>8}{failed:>8}   {_said(_answered(requests), 1000, 'ms')}"
    yield ""
    yield f"{'well again after':<32}{'times':>8}{'':>8}   median / p99 / worst"
    for name, faults in (("a fault", True), ("a commit without one", False)):
        count = sum(window.is_fault == faults for window in run.windows)
        yield f"  {name:<30}{count:>8}{'':>8}   {_said(run.recoveries(faults=faults), 1, 's')}"
    yield ""
    yield f"{'faults':<10}{'began':>5}{'well after':>11}{'requests':>12}"
    yield from _fault_lines(run)
    yield ""
    peaks = _peaks(run.looks)
    yield f"{'one service':<32}{'peak':>8}   largest growth in one life"
    for growth in growths(run.looks):
        grown = f"{growth.before:.1f} → {growth.after:.1f} (at most {MOST_GROWTH[growth.measure]:g} more)"
        yield f"  {growth.measure:<30}{peaks[growth.measure]:>8.1f}   {grown}"
    yield f"{'most servers of one model':<32}{most_servers(run.looks):>8}"
    yield f"{'longest life of an orphan':<32}{run.worst_orphan_s:>7.1f}s"
    yield ""
    verdicts = run.verdicts()
    yield "everything held" if not verdicts else "what did not hold:"
    yield from (f"  {verdict}" for verdict in verdicts)


_OCCASIONS: Mapping[str, str] = {
    "calm": "while nothing happened",
    "switch": "during a commit",
    "fault": "during a fault",
}


def _fault_lines(run: Run) -> Iterator[str]:
    failed = [request for request in run.requests if request.error]
    for index, window in enumerate(window for window in run.windows if window.is_fault):
        lost = [request for request in failed if window.overlaps(request.at_s, request.at_s + request.took_s)]
        took = f"{window.recovery_s:6.1f} s" if window.recovery_s is not None else "   never"
        yield f"    {index + 1:>3} {window.began_s:7.1f} s {took} {len(lost):>6} failed   {window.name}"
        for error, count in Counter(f"{request.model}: {request.error}" for request in lost).most_common(3):
            yield f"{'':>42}{count} × {error}"


def most_servers(looks: Sequence[Look]) -> int:
    """The most that one model ever had at once, hung ones counted."""
    counts = (Counter(server.model for server in look.servers) for look in looks)
    return max((max(count.values(), default=0) for count in counts), default=0)


def _answered(requests: Sequence[Request]) -> Times:
    return times([request.took_s for request in requests if not request.error])


def _peaks(looks: Sequence[Look]) -> Mapping[str, float]:
    seen = [measures(process) for look in looks for process in look.processes]
    return {name: max((one[name] for one in seen), default=0.0) for name in MOST_GROWTH}


def _said(given: Times, factor: float, unit: str) -> str:
    if given.median != given.median:
        return "–"
    digits = 0 if unit == "ms" else 1
    return " / ".join(f"{value * factor:.{digits}f}" for value in given) + f" {unit}"


def _times_json(given: Times) -> dict[str, float | None]:
    return {name: None if value != value else round(value, 3) for name, value in given._asdict().items()}


def _requests_json(requests: Sequence[Request]) -> dict[str, object]:
    failed = sum(bool(request.error) for request in requests)
    return {"sent": len(requests), "failed": failed, "answered_s": _times_json(_answered(requests))}


def _failure_json(request: Request) -> dict[str, object]:
    return {
        "at_s": round(request.at_s, 2),
        "took_s": round(request.took_s, 2),
        "model": request.model,
        "error": request.error,
    }


def _window_json(window: Window) -> dict[str, object]:
    recovery_s = None if window.recovery_s is None else round(window.recovery_s, 2)
    return {"name": window.name, "began_s": round(window.began_s, 2), "recovery_s": recovery_s}
