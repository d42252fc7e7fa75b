"""`python -m tests.fuzz`: many inputs, or one again by its seed or from the file that a finding was written to."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.fuzz.corpus import sound
from tests.fuzz.inputs import Input, from_json, to_json
from tests.fuzz.minimise import minimise
from tests.fuzz.mutate import by_seed
from tests.fuzz.path import follow
from tests.fuzz.workers import Figures, Finding, alone, run

_EACH = 3
"""Findings of one name that are kept: the others are probably the same mistake."""


def main() -> int:
    arguments = _arguments()
    if arguments.input:
        return _again(from_json(arguments.input.read_text(encoding="ascii")))
    if arguments.seed is not None:
        return _again(by_seed(arguments.seed))
    sound()  # made once, before there are several processes
    print(f"{arguments.inputs:,} inputs from seed {arguments.first}, {arguments.jobs} processes", flush=True)
    figures = run(arguments.first, arguments.inputs, arguments.jobs, by_seed, follow, progress=_Progress())
    print(f"{figures.seconds:.1f} s")
    for line in figures.lines():
        print(f"  {line}")
    for finding in _kept(figures.findings):
        _tell(finding, arguments.out)
    return 1 if figures.findings else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument("--seed", type=int, help="follow this one again and print what becomes of it")
    parser.add_argument("--input", type=Path, metavar="FILE", help="the same for a finding's file")
    parser.add_argument("--out", type=Path, default=Path(".fuzz"), metavar="DIR", help="where findings go (.fuzz)")
    return parser.parse_args()


def _again(given: Input) -> int:
    verdict = alone(given, follow)
    print(given)
    print(verdict.trace or f"refused in {verdict.place}" if verdict.place or verdict.trace else "accepted")
    if verdict.finding:
        print(f"finding: {verdict.finding}")
    return 1 if verdict.finding else 0


class _Progress:
    """A line every ten seconds, and one for each new kind of finding at once."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()
        self._names: set[str] = set()

    def __call__(self, figures: Figures) -> None:
        for finding in figures.findings:
            if finding.name not in self._names:
                self._names.add(finding.name)
                print(f"  seed {finding.seed}: {finding.name}", flush=True)
        if time.monotonic() - self._told_at >= 10:
            self._told_at = time.monotonic()
            rate = figures.inputs / figures.seconds
            print(f"  {figures.inputs:,} inputs, {rate:,.0f}/s, {len(figures.findings)} findings", flush=True)


def _kept(findings: list[Finding]) -> list[Finding]:
    by_name: dict[str, list[Finding]] = {}
    for finding in findings:
        by_name.setdefault(finding.name, []).append(finding)
    return [finding for found in by_name.values() for finding in found[:_EACH]]


def _tell(finding: Finding, folder: Path) -> None:
    """Write the smallest input that shows it, and say how to see it again."""
    smallest = minimise(by_seed(finding.seed), lambda given: alone(given, follow).finding == finding.name)
    folder.mkdir(exist_ok=True)
    path = folder / f"{finding.seed}.json"
    path.write_text(to_json(smallest), encoding="ascii")
    print(f"  {finding.name}\n    python -m tests.fuzz --seed {finding.seed}\n    python -m tests.fuzz --input {path}")


if __name__ == "__main__":
    sys.exit(main())
