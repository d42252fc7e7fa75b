"""Show what happened: commits taken up, deployments made, switched, deleted, and what went wrong."""

from __future__ import annotations

import argparse
import json

from reconciler.commands.project import add_project_arguments, count, say
from reconciler.commands.record import opened, project_names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--limit", type=count, default=50, metavar="N", help="the newest N (default: 50)")
    add_project_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """JSON comes as one object per line."""
    from reconciler.text import clean

    with opened(arguments, readonly=True) as store:
        for project in project_names(arguments, store):
            for number, event in store.events(project, limit=arguments.limit):
                if arguments.format == "json":
                    fields = ("kind", "model", "deployment", "text", "revision")
                    document = {"number": number, "at": event.at.isoformat(), "project": project}
                    say(json.dumps(document | {name: getattr(event, name) for name in fields}))
                else:
                    when = event.at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
                    say(clean(f"{when}  {event.kind:9} {event.model or project}  {event.text}"))
    return 0
