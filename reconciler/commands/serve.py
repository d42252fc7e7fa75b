"""Follow the checkouts that the settings name, and reconcile whatever is committed there."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.commands.project import add_settings_arguments, settings_from
from reconciler.errors import InputError, Location
from reconciler.plan import Action, Step
from reconciler.text import clean

if TYPE_CHECKING:
    from reconciler.compose.project import Project
    from reconciler.daemon import Followed
    from reconciler.engine import PassResult
    from reconciler.publish import Places
    from reconciler.settings import ProjectSettings, Settings
    from reconciler.wiring import Drivers
    from state.store import Store

EXAMPLES = """\
reconciler.yaml:
  projects:
    - checkout: /srv/shop        # a git repository; its commits are read, never its work tree
      ref: main                  # default: HEAD
      output: /srv/shop-models   # default: the service's own folder
  policy:
    allowed_platforms: [llamacpp]

examples:
  reconcile serve --config /etc/compose-model-reconciler/reconciler.yaml
  kill -HUP PID                  look at every project now
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings_arguments(parser)
    parser.add_argument("--verbose", action="store_true", help="log every call as well")


def run(arguments: argparse.Namespace) -> int:
    from reconciler.clock import SystemClock
    from reconciler.daemon import Daemon
    from reconciler.notify import notifier
    from reconciler.wiring import Drivers
    from state.open import open_store

    _log_to_stderr(verbose=arguments.verbose)
    settings = settings_from(arguments)
    if not settings.projects:
        place = Location(arguments.config or "settings")
        raise InputError("no projects to follow; name at least one under 'projects'", place)
    store = open_store(settings.state, create=True)
    drivers = Drivers(settings, os.environ)
    projects = {str(project.checkout): _follow(project, settings, store, drivers) for project in settings.projects}
    notify = notifier(os.environ)
    daemon = Daemon(
        projects,
        SystemClock(),
        poll_interval_s=settings.timing.poll_interval_s,
        tell=_Teller().tell,
        alive=partial(notify, "WATCHDOG=1"),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.stop())
    signal.signal(signal.SIGHUP, lambda *_: daemon.mark_all())
    logging.getLogger(__name__).info("following %s", ", ".join(projects))
    notify("READY=1")
    try:
        daemon.run()
    finally:
        notify("STOPPING=1")
        store.close()
    return 0


def _follow(project: ProjectSettings, settings: Settings, store: Store, drivers: Drivers) -> Followed:
    from reconciler.daemon import Followed
    from reconciler.engine import Manner
    from reconciler.wiring import LaunchWords, RuleBook, build_engine, holder, places_for, service_reader

    reader = service_reader(project, settings, os.environ)

    def places(loaded: Project) -> Places:
        return places_for(settings, loaded, project.output)

    manner = Manner(
        rules=RuleBook(settings),
        policy=settings.policy,
        holder=holder(),
        lease_ttl_s=settings.timing.lease_ttl_s,
        roll_out=project.roll_out,
    )
    launch = LaunchWords(environment=os.environ, env_files=project.env_files, profiles=project.profiles)
    engine = build_engine(
        settings=settings, reader=reader, store=store, places=places, manner=manner, drivers=drivers, launch=launch
    )
    return Followed(reader, engine)


class _Teller:
    """Logs what passes came to: one line for each thing that happened, and nothing when nothing did."""

    def __init__(self) -> None:
        self._log = logging.getLogger("reconciler")
        self._waiting: dict[tuple[str, str], str] = {}
        self._ready: dict[str, frozenset[str]] = {}

    def tell(self, key: str, result: PassResult) -> None:
        for line in self._lines(key, result):
            self._log.info("%s: %s", Path(key).name, clean(line))

    def _lines(self, key: str, result: PassResult) -> Iterator[str]:
        if result.plan is None or result.known is None:
            return
        for step in result.plan.steps:
            if step.action is not Action.WAIT:
                yield _step_line(step)
            elif self._waiting.get((key, step.model)) != step.cause:
                yield f"{step.model}: {step.cause}"
        self._waiting = {other: cause for other, cause in self._waiting.items() if other[0] != key}
        self._waiting |= {(key, step.model): step.cause for step in result.plan.steps if step.action is Action.WAIT}
        serving = {
            f"{record.deployment.model}: ready at {record.endpoint.url} ({record.endpoint.model_id})"
            for record in result.known.deployments.values()
            if record.active and record.endpoint is not None
        }
        yield from sorted(serving - self._ready.get(key, frozenset()))
        self._ready[key] = frozenset(serving)
        if result.published.changed_services:
            yield f"environment written for {', '.join(result.published.changed_services)}"
        yield from result.published.repaired


def _step_line(step: Step) -> str:
    changes = ", ".join(f"{change.key} {change.old} → {change.new}" for change in step.changes)
    return f"{step.action.value} {step.model} on {step.driver}: {step.cause}{f' ({changes})' if changes else ''}"


def _log_to_stderr(*, verbose: bool) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
    )
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    logging.getLogger("watchdog").setLevel(logging.WARNING)
