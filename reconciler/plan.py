"""A plan is data: what would be done to which model, and why. `diff.py` makes it, `apply.py` carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from drivers.base import Finding
from reconciler.errors import Location


class Action(Enum):
    """What a step does."""

    CREATE = "create"
    """A new deployment for a model that has none."""
    REPLACE = "replace"
    """A new deployment beside the present one, which goes later: switch before delete."""
    UPDATE = "update"
    """Change the present deployment in place."""
    DELETE = "delete"
    FORGET = "forget"
    """Drop the record of something that was verified absent; touches no platform."""
    WAIT = "wait"
    """Nothing to do yet, and the cause says for what."""


class FieldChange(NamedTuple):
    """One key of the spec that differs; None where it was or becomes unset."""

    key: str
    old: str | None
    new: str | None


class Step(NamedTuple):
    """One action on one model. `deployment` is the id it acts on, None for one that is yet to be minted."""

    action: Action
    model: str
    driver: str
    cause: str
    """Why, in one stable sentence."""
    deployment: str | None = None
    changes: tuple[FieldChange, ...] = ()
    findings: tuple[Finding, ...] = ()
    """The driver's report on every option of the model."""
    resolution: tuple[str, ...] = ()
    """How the platform, the size and the model were arrived at, one step each."""
    location: Location | None = None
    not_before: datetime | None = None
    """For waits: when the answer can change by time alone."""
    insists: bool = False
    """For deletes: also while somebody still uses it. It had its time, and a while more."""
    makes_way: bool = False
    """For deletes, and what they wait for: it goes so that what the file asks for can be made."""


class Verdict(NamedTuple):
    """What one guard says of the plan."""

    guard: str
    """`mass-delete`, `protect`, `policy`, `options` …"""
    allowed: bool
    text: str
    model: str = ""
    location: Location | None = None


class Plan(NamedTuple):
    """The steps for one project at one moment, and which deployment each model's services should be pointed at."""

    project: str
    revision: str
    steps: tuple[Step, ...]
    routes: Mapping[str, str]
    """Model key to the id of the deployment that serves it from now on."""
    guards: tuple[Verdict, ...] = ()
    unchanged: tuple[str, ...] = ()
    """Models for which there is nothing to do."""
    resting: tuple[str, ...] = ()
    """Models that are not served as the file describes them, by its own word: it suspends them, their time is up, or
    their schedule has them down."""

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that would change something somewhere."""
        return tuple(step for step in self.steps if step.action is not Action.WAIT)

    @property
    def refusals(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.guards if not verdict.allowed)
