"""What `reconcile validate` and `explain` found: for every model its place, how it was resolved, all findings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drivers.base import Finding, Handling
from reconciler.compose.project import Model, Project
from reconciler.errors import InputError, Location
from reconciler.report.as_json import FORMAT_VERSION, Document, findings_document
from reconciler.report.github import Level, annotation, error_annotation, finding_annotations, finding_places
from reconciler.report.markdown import fenced
from reconciler.report.style import PLAIN, Style
from reconciler.report.text import finding_lines
from reconciler.text import clean

if TYPE_CHECKING:
    from reconciler.desired import Desired, DesiredModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReport:
    """One model as it was understood."""

    key: str
    model: str
    """The reference as written."""
    driver: str
    resolution: tuple[str, ...] = ()
    """How platform, size and model were arrived at, one step each."""
    findings: tuple[Finding, ...] = ()
    flags: tuple[str, ...] = ()
    """The runtime flags as written."""
    location: Location
    places: Mapping[str, Location] = field(default_factory=dict)
    """Where what a finding speaks of is written, by the finding's key (`github.finding_places`)."""

    problems: tuple[InputError, ...] = ()
    """What must change in the file beyond the rejected findings."""

    @property
    def is_refused(self) -> bool:
        return bool(self.problems) or any(one.handling is Handling.REJECTED for one in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """A whole project as it was understood."""

    project: str
    models: tuple[ModelReport, ...]
    warnings: tuple[str, ...] = ()
    """From reading the files; each begins with its place."""
    problems: tuple[InputError, ...] = ()
    """What is wrong with the project's own defaults, and so with every model."""

    @property
    def is_valid(self) -> bool:
        return not self.problems and not any(model.is_refused for model in self.models)


def validation_of(project: Project, desired: Desired) -> Validation:
    """What was judged of the project, in the file's order. Every problem is in it once."""
    reports = tuple(_report(project.models[key], judged, desired) for key, judged in desired.judged.items())
    return Validation(
        project=project.name, models=reports, warnings=project.warnings, problems=desired.project_problems
    )


def validation_text(validation: Validation, style: Style = PLAIN) -> str:
    """Every model with everything that was found, then the warnings and one line that says whether it would do."""
    blocks = ["\n".join(_problem_line(one, style) for one in validation.problems)] if validation.problems else []
    blocks += ["\n".join(model_lines(model, style)) for model in validation.models]
    if validation.warnings:
        blocks.append("\n".join(f"warning: {clean(text)}" for text in validation.warnings))
    return "\n\n".join([*blocks, _conclusion(validation, style)]) + "\n"


def model_lines(model: ModelReport, style: Style = PLAIN) -> Iterator[str]:
    """What `reconcile explain MODEL` prints of one model."""
    where = f" on {clean(model.driver)}" if model.driver else ""
    title = f"{style.bold(clean(model.key))}: {clean(model.model)}{where}"
    yield f"{title}  {style.faint(clean(str(model.location)))}"
    yield from (f"    {clean(line)}" for line in model.resolution)
    yield from finding_lines(model.findings, style, flags=model.flags, all_of_them=True)
    yield from (f"    {_problem_line(one, style)}" for one in model.problems)


def validation_document(validation: Validation) -> Document:
    return {
        "format_version": FORMAT_VERSION,
        "project": validation.project,
        "valid": validation.is_valid,
        "models": {model.key: model_document(model) for model in validation.models},
        "problems": [_problem(one) for one in validation.problems],
        "warnings": list(validation.warnings),
    }


def model_document(model: ModelReport) -> Document:
    return {
        "model": model.model,
        "driver": model.driver,
        "resolution": list(model.resolution),
        "options": findings_document(model.findings),
        "problems": [_problem(one) for one in model.problems],
        "location": str(model.location),
    }


def validation_json(validation: Validation) -> str:
    return json.dumps(validation_document(validation), indent=2) + "\n"


def validation_markdown(validation: Validation) -> str:
    verdict = "valid" if validation.is_valid else "refused"
    return f"### Models: {verdict}\n\n{fenced(validation_text(validation), 'text')}"


def validation_annotations(validation: Validation) -> str:
    """The warnings of the files, then each finding on the line of its option or flag."""
    lines = [error_annotation(one) for one in validation.problems]
    lines += [annotation(Level.WARNING, text) for text in validation.warnings]
    for model in validation.models:
        lines += [error_annotation(one) for one in model.problems]
        lines += finding_annotations(model.key, model.findings, model.places, model.location)
    return "".join(f"{line}\n" for line in lines)


def _report(model: Model, judged: DesiredModel, desired: Desired) -> ModelReport:
    places = {**finding_places(model), **judged.option_locations}
    rejected = [one for one in judged.findings if one.handling is Handling.REJECTED]
    # A rejected finding is among the problems too, because it stops the model; one line says it.
    said = [*desired.project_problems, *(one for one in judged.problems if _repeats(one, rejected, places))]
    return ModelReport(
        key=model.key,
        model=model.model,
        driver=judged.driver,
        resolution=(*judged.resolution, *filter(None, (judged.absence,))),
        findings=judged.findings,
        flags=model.runtime_flags,
        location=model.location,
        places=places,
        problems=tuple(one for one in judged.problems if one not in said),
    )


def _repeats(problem: InputError, rejected: Sequence[Finding], places: Mapping[str, Location]) -> bool:
    return any(problem.location == places.get(one.key) and problem.message.endswith(one.detail) for one in rejected)


def _problem(error: InputError) -> Document:
    return {"text": error.message, "path": error.path, "location": str(error.location)}


def _problem_line(error: InputError, style: Style) -> str:
    return f"{style.refused('refused')}: {clean(str(error))}"


def _conclusion(validation: Validation, style: Style) -> str:
    count = len(validation.models)
    models = "1 model" if count == 1 else f"{count} models"
    refused = ", ".join(clean(model.key) for model in validation.models if model.is_refused)
    if validation.problems:
        refused = "all of them, by the project's own defaults"
    verdict = style.refused(f"refused: {refused}") if refused else "nothing refused"
    return f"{clean(validation.project)}: {models}, {verdict}."
