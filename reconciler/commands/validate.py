"""Check the Compose files and report what every option resolves to; touches nothing and asks nobody."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from reconciler.commands.project import Mistake, ProjectContext, add_project_arguments, say

EXAMPLES = """\
examples:
  reconcile validate
  reconcile explain llm
  reconcile -f compose.yaml validate --format github       in CI: annotations on the right lines
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", metavar="MODEL", nargs="*", help="only these models")
    parser.add_argument("--format", choices=("text", "json", "markdown", "github"), default="text")
    add_project_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from reconciler.report import validation
    from reconciler.report.style import COLOUR, PLAIN

    reading = ProjectContext(arguments).reading
    found = validation.validation_of(reading.project, reading.desired)
    if arguments.models:
        _check_known(arguments.models, reading.desired.judged)
        found = replace(found, models=tuple(model for model in found.models if model.key in arguments.models))
    if arguments.format == "json":
        say(validation.validation_json(found))
    elif arguments.format == "markdown":
        say(validation.validation_markdown(found))
    elif arguments.format == "github":
        say(validation.validation_annotations(found))
    else:
        say(validation.validation_text(found, COLOUR if sys.stdout.isatty() else PLAIN))
    return 0 if found.is_valid else 1


def _check_known(asked: list[str], known: object) -> None:
    from reconciler.options import nearest

    names = list(known) if isinstance(known, dict) else []
    for name in asked:
        if name not in names:
            hint = nearest(name, names)
            raise Mistake(
                f"no model '{name}'"
                + (f" (did you mean '{hint}'?)" if hint else f"; there are {', '.join(names) or 'none'}")
            )
