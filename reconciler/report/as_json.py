"""A plan as JSON: the form that programs read. `format_version` rises when a reader of today would misread it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from drivers.base import Finding
from reconciler.errors import Location
from reconciler.plan import Action, Plan, Step, Verdict

FORMAT_VERSION = "1"

# Only text, numbers, lists and mappings: what `json.dumps` takes without help.
Document = Mapping[str, object]


def plan_json(plan: Plan) -> str:
    """The plan as indented JSON text with a line break at its end."""
    # ASCII only: a C1 control character from a file would otherwise reach the terminal as it is.
    return json.dumps(plan_document(plan), indent=2) + "\n"


def plan_document(plan: Plan) -> Document:
    return {
        "format_version": FORMAT_VERSION,
        "project": plan.project,
        "revision": plan.revision,
        "steps": [_step(step) for step in plan.steps],
        "summary": summary(plan),
        "guards": [_guard(verdict) for verdict in plan.guards],
    }


def summary(plan: Plan) -> dict[str, int]:
    """How many steps there are of each action, and for how many models there is nothing to do."""
    counts = Counter(step.action for step in plan.steps)
    order = (Action.CREATE, Action.UPDATE, Action.REPLACE, Action.DELETE, Action.FORGET, Action.WAIT)
    return {action.value: counts[action] for action in order} | {"unchanged": len(plan.unchanged)}


def findings_document(findings: Sequence[Finding]) -> list[Document]:
    """A driver's report on what the user wrote, in the order it was given."""
    return [{"key": one.key, "handling": one.handling.value, "detail": one.detail} for one in findings]


def location_text(location: Location | None) -> str | None:
    return str(location) if location is not None else None


def _step(step: Step) -> Document:
    return {
        "action": step.action.value,
        "model": step.model,
        "deployment": step.deployment,
        "driver": step.driver,
        "cause": step.cause,
        "changes": [{"key": change.key, "from": change.old, "to": change.new} for change in step.changes],
        "options": findings_document(step.findings),
        "resolution": list(step.resolution),
        "location": location_text(step.location),
        "not_before": step.not_before.isoformat() if step.not_before is not None else None,
    }


def _guard(verdict: Verdict) -> Document:
    return {
        "guard": verdict.guard,
        "allowed": verdict.allowed,
        "text": verdict.text,
        "model": verdict.model,
        "location": location_text(verdict.location),
    }
