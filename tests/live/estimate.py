"""What a run costs at most, before anything is made: for each test, what it has at a time, for as long as it may take,
and for as long again as its removal may. Pure.

A test says it with a marker: `@pytest.mark.bill("ml.c7i.xlarge", "ml.c7i.xlarge", minutes=30)`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tests.live.prices import QUESTION, per_hour

REMOVAL_MIN = 20.0
"""For so long at most a test's things are paid for after its deadline: what is not gone by then fails it, aloud."""
QUESTIONS = 20
"""The most that one test asks of a model of Bedrock's."""


class Overdrawn(Exception):
    """The run would, or could, cost more than was allowed; nothing was made."""


class Bill(NamedTuple):
    """Of one test."""

    test: str
    things: tuple[str, ...]
    """What it may have at one time: instance types, sizes (`aws-ec2/cpu`), `balancer`. Each as often as it is there."""
    minutes: float
    """How long it may take, at most."""
    questions: int = QUESTIONS

    def usd(self, region: str) -> float:
        """Raises Unpriced."""
        paid_h = (self.minutes + REMOVAL_MIN) / 60
        return sum(per_hour(thing, region) for thing in self.things) * paid_h + self.questions * QUESTION


def bill_of(test: str, marker: Any, at_most_min: float = math.inf) -> Bill:
    """From the marker. Raises Overdrawn where there is none: what a test costs is said, not found out."""
    if marker is None:
        raise Overdrawn(f"{test} does not say what it costs: give it a @pytest.mark.bill(…, minutes=…)")
    given: Mapping[str, Any] = marker.kwargs
    return Bill(test, tuple(marker.args), min(given["minutes"], at_most_min), given.get("questions", QUESTIONS))


def total(bills: Iterable[Bill], region: str) -> float:
    """All together, rounded up to a cent. Raises Unpriced."""
    return math.ceil(sum(bill.usd(region) for bill in bills) * 100) / 100


def within(bills: Iterable[Bill], region: str, budget_usd: float) -> float:
    """The total. Raises Overdrawn, with the dearest tests, where it is more than the budget."""
    bills = tuple(bills)
    usd = total(bills, region)
    if usd > budget_usd:
        dearest = sorted(bills, key=lambda bill: -bill.usd(region))[:3]
        named = ", ".join(f"{bill.test} {bill.usd(region):.2f}" for bill in dearest)
        raise Overdrawn(
            f"these {len(bills)} tests may cost {usd:.2f} USD, and {budget_usd:.2f} are allowed: nothing was made. "
            f"Select fewer, or allow more. The dearest: {named}"
        )
    return usd
