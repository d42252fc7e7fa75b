"""Print a short-lived token for a model whose platform wants one, as `Authorization: Bearer` needs it."""

from __future__ import annotations

import argparse
import json
import os

from reconciler.commands.project import add_project_arguments, say, settings_from
from reconciler.commands.record import one_project, opened
from reconciler.errors import NothingRecorded

EXAMPLES = """\
examples:
  curl -H "Authorization: Bearer $(reconcile token chat)" "$CHAT_URL/chat/completions" -d @question.json
  reconcile token chat --format json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    add_project_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from reconciler.commands.logs import deployment_of
    from reconciler.wiring import Drivers

    with opened(arguments, readonly=True) as store:
        record = deployment_of(arguments.model, store.load(one_project(arguments, store)))
    make = getattr(Drivers(settings_from(arguments), os.environ)(record.driver), "token", None)
    if make is None:
        raise NothingRecorded(
            f"{record.driver} has no tokens: a key, where there is one, is in the services' variables"
        )
    made = make(record.deployment)
    if arguments.format == "json":
        say(json.dumps({"token": made.text, "expires_at": made.expires_at.isoformat()}))
    else:
        say(made.text)
    return 0
