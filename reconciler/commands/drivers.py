"""List the platforms, and which of them this installation can deploy to."""

from __future__ import annotations

import argparse
import json

from reconciler.commands.project import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("text", "json"), default="text")


def run(arguments: argparse.Namespace) -> int:
    from drivers.registry import describe

    described = describe()
    if arguments.format == "json":
        keys = ("name", "title", "provider", "available", "origin", "options")
        say(json.dumps([{key: getattr(one, key) for key in keys} for one in described], indent=2))
        return 0
    width = max(len(one.name) for one in described)
    for one in described:
        sign = "✓" if one.available else "–"
        about = f"{one.title}: honours {one.options} options" if one.available else f"{one.title}: {one.origin}"
        say(f"{sign} {one.name:{width}}  {about}")
    return 0
