"""Show what is deployed and how it is, as last recorded; --refresh asks the platforms."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from reconciler.commands.project import add_project_arguments, say, settings_from
from reconciler.commands.record import opened, project_names
from reconciler.text import MOMENT, clean

if TYPE_CHECKING:
    from state.record import DeploymentRecord, ModelRecord, Recorded

EXAMPLES = """\
examples:
  reconcile status
  reconcile status -p shop --refresh --format json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--refresh", action="store_true", help="ask the platforms now, read-only")
    add_project_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from state.store import StateLost, StateMissing

    try:
        with opened(arguments, readonly=True) as store:
            projects = [store.load(name) for name in project_names(arguments, store)]
    except StateLost:
        raise
    except StateMissing:
        projects = []
    if arguments.refresh:
        projects = [_refreshed(arguments, known) for known in projects]
    if arguments.format == "json":
        documents = [_document(known, _usual_ttl(arguments)) for known in projects]
        say(json.dumps({"format_version": "1", "projects": documents}, indent=2))
    else:
        _print(projects, _usual_ttl(arguments))
    return 0


def _refreshed(arguments: argparse.Namespace, known: Recorded) -> Recorded:
    from reconciler.clock import SystemClock
    from reconciler.observe import observe_all
    from reconciler.pool import ThreadPool
    from reconciler.refresh import refresh
    from reconciler.wiring import Drivers

    drivers = Drivers(settings_from(arguments), os.environ)
    with ThreadPool() as pool:
        return refresh(known, observe_all(known.deployments.values(), drivers, pool), SystemClock().now())


def _usual_ttl(arguments: argparse.Namespace) -> str:
    """How long a model has of which no file says it."""
    from reconciler.lifetime import OFF, TTL

    return settings_from(arguments).default_options.get(TTL, OFF)


def _print(projects: list[Recorded], usual_ttl: str) -> None:
    from reconciler.clock import SystemClock
    from reconciler.commands.running import rows
    from reconciler.progress import render_status

    if not projects:
        say("nothing is recorded; `reconcile --dry-run` shows what would be done")
    now = SystemClock().now()
    for known in projects:
        revision = f" at {known.source.revision[:21]}" if known.source else ""
        say(f"{clean(known.project)}{revision}")
        say(render_status(tuple(rows(known, now))))
        for book in known.models.values():
            for note in notes(book, now):
                say(f"  {clean(f'{book.key}: {note}')}")
        for record in known.deployments.values():
            ends = _ends_at(known, record, usual_ttl)
            if ends is not None:
                say(f"  {clean(f'{record.deployment.model}: its time is up at {ends:{MOMENT}}')}")


def _ends_at(known: Recorded, record: DeploymentRecord, usual_ttl: str) -> datetime | None:
    """When it goes by itself, by the words it was made for."""
    from reconciler.lifetime import deployment_ends_at
    from state.record import ModelRecord

    key = record.deployment.model
    return deployment_ends_at(record, known.models.get(key) or ModelRecord(key=key), usual_ttl)


def notes(book: ModelRecord, now: datetime) -> Iterator[str]:
    """What is remembered of a model beside its deployments, of which there may be none at the moment."""
    if book.halted:
        yield book.halted
    elif book.last_failure and book.next_try_at is not None and book.next_try_at > now:
        made = f"{book.attempts} attempt{'' if book.attempts == 1 else 's'}"
        yield f"{made} so far, the next not before {book.next_try_at:{MOMENT}}; the last failure: {book.last_failure}"
    if book.missing_since is not None:
        yield f"gone from the file since {book.missing_since:{MOMENT}}"
    if book.protected:
        yield "protected"


def _document(known: Recorded, usual_ttl: str) -> dict[str, object]:
    source = known.source
    return {
        "project": known.project,
        "lineage": known.lineage,
        "serial": known.serial,
        "epoch": known.epoch,
        "revision": source.revision if source else None,
        "origin": source.origin if source else None,
        "deployments": [
            _deployment(record, _ends_at(known, record, usual_ttl)) for record in known.deployments.values()
        ],
        "models": {
            key: {
                "protected": book.protected,
                "attempts": book.attempts,
                "halted": book.halted,
                "last_failure": book.last_failure,
                "next_try_at": book.next_try_at.isoformat() if book.next_try_at else None,
                "missing_since": book.missing_since.isoformat() if book.missing_since else None,
            }
            for key, book in known.models.items()
        },
        "outputs": sorted(known.outputs),
    }


def _deployment(record: DeploymentRecord, ends_at: datetime | None) -> dict[str, object]:
    endpoint = record.endpoint
    return {
        "id": record.deployment.id,
        "model": record.deployment.model,
        "name": record.deployment.name,
        "driver": record.driver,
        "intent": record.intent.value,
        "phase": record.phase.value,
        "detail": record.failure or record.detail,
        "active": record.active,
        "since": record.phase_since.isoformat(),
        "created_at": record.created_at.isoformat(),
        "ends_at": ends_at.isoformat() if ends_at else None,
        "ready_at": record.ready_at.isoformat() if record.ready_at else None,
        "endpoint": {"url": endpoint.url, "model_id": endpoint.model_id, "auth": endpoint.auth.value}
        if endpoint
        else None,
        "spec": record.deployment.spec.fields(),
        "handle": dict(record.deployment.handle),
    }
