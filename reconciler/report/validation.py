"""What `reconcile validate` and `explain` found: for every model its place, how it was resolved, all findings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from drivers.base import Finding, Handling
from reconciler.errors import Location
from reconciler.report.as_json import FORMAT_VERSION, Document, findings_document
from reconciler.report.github import Level, annotation, finding_annotations
from reconciler.report.markdown import fenced
from reconciler.report.style import PLAIN, Style
from reconciler.report.text import finding_lines
from reconciler.text import clean


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

    @property
    def rejected(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.handling is Handling.REJECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """A whole project as it was understood."""

    project: str
    models: tuple[ModelReport, ...]
    warnings: tuple[str, ...] = ()
    """From reading the files; each begins with its place."""

    @property
    def is_valid(self) -> bool:
        return not any(model.rejected for model in self.models)


def validation_text(validation: Validation, style: Style = PLAIN) -> str:
    """Every model with everything that was found, then the warnings and one line that says whether it would do."""
    blocks = ["\n".join(model_lines(model, style)) for model in validation.models]
    if validation.warnings:
        blocks.append("\n".join(f"warning: {clean(text)}" for text in validation.warnings))
    return "\n\n".join([*blocks, _conclusion(validation, style)]) + "\n"


def model_lines(model: ModelReport, style: Style = PLAIN) -> Iterator[str]:
    """What `reconcile explain MODEL` prints of one model."""
    title = f"{style.bold(clean(model.key))}: {clean(model.model)} on {clean(model.driver)}"
    yield f"{title}  {style.faint(clean(str(model.location)))}"
    yield from (f"    {clean(line)}" for line in model.resolution)
    yield from finding_lines(model.findings, style, flags=model.flags, all_of_them=True)


def validation_document(validation: Validation) -> Document:
    return {
        "format_version": FORMAT_VERSION,
        "project": validation.project,
        "valid": validation.is_valid,
        "models": {model.key: model_document(model) for model in validation.models},
        "warnings": list(validation.warnings),
    }


def model_document(model: ModelReport) -> Document:
    return {
        "model": model.model,
        "driver": model.driver,
        "resolution": list(model.resolution),
        "options": findings_document(model.findings),
        "location": str(model.location),
    }


def validation_json(validation: Validation) -> str:
    return json.dumps(validation_document(validation), indent=2) + "\n"


def validation_markdown(validation: Validation) -> str:
    verdict = "valid" if validation.is_valid else "refused"
    return f"### Models: {verdict}\n\n{fenced(validation_text(validation), 'text')}"


def validation_annotations(validation: Validation) -> str:
    """The warnings of the files, then each finding on the line of its option or flag."""
    lines = [annotation(Level.WARNING, text) for text in validation.warnings]
    for model in validation.models:
        lines += finding_annotations(model.key, model.findings, model.places, model.location)
    return "".join(f"{line}\n" for line in lines)


def _conclusion(validation: Validation, style: Style) -> str:
    count = len(validation.models)
    models = "1 model" if count == 1 else f"{count} models"
    refused = ", ".join(clean(model.key) for model in validation.models if model.rejected)
    verdict = style.refused(f"refused: {refused}") if refused else "nothing refused"
    return f"{clean(validation.project)}: {models}, {verdict}."
