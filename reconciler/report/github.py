"""A plan as GitHub annotations: workflow commands that the runner shows on the right line of the right file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum

from drivers.base import Finding, Handling
from reconciler.compose.project import Model
from reconciler.errors import InputError, Location
from reconciler.plan import Action, Plan, Verdict
from reconciler.text import clean


class Level(Enum):
    """How loud an annotation is."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


_LEVELS = {
    Handling.REJECTED: Level.ERROR,
    Handling.IGNORED: Level.WARNING,
    Handling.TRANSLATED: Level.NOTICE,
}


def plan_annotations(plan: Plan, models: Mapping[str, Model] | None = None) -> str:
    """One line for every refusal, every option that is not plainly honoured, and every step that changes something.

    `models` are the declared models by key; with them a finding is shown on the line of its option or flag, without
    them on the line of its model.
    """
    lines = [_verdict(verdict) for verdict in plan.guards]
    for step in plan.steps:
        places = finding_places(models[step.model]) if models and step.model in models else {}
        findings = [one for one in step.findings if not _is_said(step.model, one, plan.guards)]
        lines += finding_annotations(step.model, findings, places, step.location)
        if step.action is not Action.WAIT:
            text = f"{step.action.value} {step.model} ({step.driver}) because {step.cause}"
            lines.append(annotation(Level.NOTICE, text, step.location))
    # Every step of a model carries all that was found about it; each thing is to be said once.
    return "".join(f"{line}\n" for line in dict.fromkeys(lines))


def error_annotation(error: InputError) -> str:
    """The line for something that must change in a file."""
    text = f"{error.path}: {error.message}" if error.path else error.message
    return annotation(Level.ERROR, text, error.location)


def annotation(level: Level, text: str, location: Location | None = None) -> str:
    """One workflow command. Its text may have several lines; nothing in it can end the command or begin another."""
    place = f" {_properties(location)}" if location is not None else ""
    return f"::{level.value}{place}::{_data(text)}"


def finding_annotations(
    model: str, findings: Sequence[Finding], places: Mapping[str, Location], otherwise: Location | None
) -> Iterator[str]:
    """A line for every refusal (error), everything without effect (warning) and everything done by other means."""
    for one in findings:
        level = _LEVELS.get(one.handling)
        if level is not None:
            detail = f": {one.detail}" if one.detail else ""
            text = f"models.{model}: {one.key}: {one.handling.value}{detail}"
            yield annotation(level, text, places.get(one.key, otherwise))


def finding_places(model: Model) -> Mapping[str, Location]:
    """Where each thing that a finding can speak of is written, by the finding's key."""
    places = {"model": model.location}
    if model.context_location is not None:
        places["context_size"] = model.context_location
    places |= {f"runtime_flags[{number}]": place for number, place in enumerate(model.flag_locations)}
    return places | {option.key: option.location for option in model.options}


def _is_said(model: str, finding: Finding, guards: Sequence[Verdict]) -> bool:
    """Whether a guard's refusal says it already: a rejected option refuses its model."""
    if finding.handling is not Handling.REJECTED or not finding.detail:
        return False
    return any(
        not verdict.allowed and verdict.model == model and verdict.text.endswith(finding.detail) for verdict in guards
    )


def _verdict(verdict: Verdict) -> str:
    word = "allowed" if verdict.allowed else "refused"
    model = f"{verdict.model}: " if verdict.model else ""
    level = Level.WARNING if verdict.allowed else Level.ERROR
    return annotation(level, f"{word} by {verdict.guard}: {model}{verdict.text}", verdict.location)


def _properties(location: Location) -> str:
    pairs = {"file": location.file, "line": str(location.line), "col": str(location.column)}
    return ",".join(f"{name}={_property(text)}" for name, text in pairs.items())


def _data(text: str) -> str:
    lines = [clean(line) for line in text.splitlines()]
    return "\n".join(lines).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
