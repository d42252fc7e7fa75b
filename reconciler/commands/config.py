"""Print what was read from the Compose files: models, options and bindings, resolved."""

from __future__ import annotations

import argparse

from reconciler.commands.project import ProjectContext, add_project_arguments, say

EXAMPLES = """\
examples:
  reconcile config
  reconcile -f compose.yaml --profile gpu config --format json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("yaml", "json"), default="yaml")
    add_project_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from reconciler.report.config import config_json, config_yaml

    reading = ProjectContext(arguments).reading
    judged = reading.desired.judged
    specs = {key: model.spec for key, model in judged.items()}
    platforms = {key: model.driver for key, model in judged.items() if model.driver}
    say((config_json if arguments.format == "json" else config_yaml)(reading.project, specs, platforms))
    return 0
