"""Print the override file, or one service's variables, as the record has them; writes nothing."""

from __future__ import annotations

import argparse

from reconciler.commands.project import Mistake, ProjectContext, add_project_arguments, print_warning, say

EXAMPLES = """\
examples:
  reconcile render                       the override file on standard output
  reconcile render --service app         the variables of one service, for a process without a container
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--service", metavar="NAME", help="KEY=VALUE lines of this service, as seen from this host")
    add_project_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from reconciler.publish import values_file
    from reconciler.reading import api_key_vars
    from reconciler.render.environments import service_environments
    from reconciler.render.text import env_body, override_body

    context = ProjectContext(arguments)
    reading = context.reading
    known = context.recorded(reading.project.name)
    endpoints = {
        record.deployment.model: record.endpoint
        for record in known.deployments.values()
        if record.active and record.endpoint is not None
    }
    environments = service_environments(reading.project, endpoints, api_key_vars(reading.desired))
    values = context.settings.values_dir(reading.project.name)
    keyed = {each.name: str(values_file(values, each.name, "keys")) for each in environments if each.key_variables}
    if arguments.service:
        chosen = next((each for each in environments if each.name == arguments.service), None)
        if chosen is None:
            names = ", ".join(each.name for each in environments) or "none"
            raise Mistake(f"no service '{arguments.service}' wants a model; those that do: {names}")
        say(env_body(chosen))
        if chosen.key_variables:  # an answer ends up in logs and scroll-back, where a key does not belong
            print_warning(f"{', '.join(sorted(chosen.key_variables))}: not shown, read from {keyed[chosen.name]}")
        return 0
    say(override_body(environments, keyed.get, sorted(reading.project.providers)))
    return 0
