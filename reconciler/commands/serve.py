"""Follow the checkouts that the settings name, and reconcile whatever is committed there."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TextIO

from reconciler.commands.project import Mistake, add_settings_arguments, durable_store, settings_file, settings_from
from reconciler.leaving import BEGUN
from reconciler.plan import Action, Step
from reconciler.services import redact
from reconciler.text import clean

if TYPE_CHECKING:
    from reconciler.compose.project import Project
    from reconciler.daemon import Followed
    from reconciler.publish import Places
    from reconciler.result import PassResult
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

BACKUP_LOOK_S = 600.0
"""Seconds between two looks whether a copy of the record is due."""


TERSE = ("apscheduler", "watchdog", "botocore", "urllib3")
"""Libraries that say only what is wrong, also with `--verbose`: the SDK of AWS writes whole requests and answers into
its log, keys of models included, and they are no variables of ours that could be blotted out."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings_arguments(parser)
    parser.add_argument("--verbose", action="store_true", help="log every call as well")


def run(arguments: argparse.Namespace) -> int:
    from contextlib import closing

    from reconciler.clock import SystemClock
    from reconciler.daemon import Daemon
    from reconciler.notify import notifier
    from reconciler.wiring import Drivers

    log_to(sys.stderr, verbose=arguments.verbose, environment=os.environ)
    settings = settings_from(arguments)
    if not settings.projects:
        file = settings_file(arguments)
        raise Mistake(f"no projects to follow: name one under 'projects' in {file}; `reconcile serve --help` shows how")
    notify = notifier(os.environ)
    with closing(durable_store(settings)) as store:
        drivers = Drivers(settings, os.environ)
        daemon = Daemon(
            {name: _follow(one, settings, store, drivers) for name, one in named(settings.projects).items()},
            SystemClock(),
            poll_interval_s=settings.timing.poll_interval_s,
            tell=Teller().tell,
            alive=partial(notify, "WATCHDOG=1"),
            chores={"backup": (BACKUP_LOOK_S, partial(_back_up, store))},
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: daemon.stop())
        signal.signal(signal.SIGHUP, lambda *_: daemon.mark_all())
        logging.getLogger(__name__).info("following %s", ", ".join(str(one.checkout) for one in settings.projects))
        notify("READY=1")
        try:
            daemon.run()
        finally:
            notify("STOPPING=1")
    return 0


def _back_up(store: Store) -> None:
    """A copy of the record now and then: the way back after a loss, as `reconcile doctor` tells."""
    from reconciler.clock import SystemClock
    from state.backup import backup_if_due
    from state.sqlite import SqliteStore

    if isinstance(store, SqliteStore):
        backup_if_due(store, SystemClock().now())


def named(projects: Sequence[ProjectSettings]) -> dict[str, ProjectSettings]:
    """By a short name for the log: the checkout's folder, with more where that alone would name two."""
    found: dict[str, ProjectSettings] = {}
    for one in projects:
        short = one.name or one.checkout.name
        longer = (short, f"{short}/{one.subfolder}", str(one.checkout), f"{one.checkout}/{one.subfolder}@{one.ref}")
        free = next((name for name in longer if name not in found), f"{longer[-1]}#{len(found) + 1}")
        found[free] = one
    return found


def _follow(project: ProjectSettings, settings: Settings, store: Store, drivers: Drivers) -> Followed:
    from reconciler.daemon import Followed
    from reconciler.manner import Manner
    from reconciler.wiring import LaunchWords, RuleBook, build_engine, holder, inbox_for, places_for, service_reader

    reader = service_reader(project, settings, os.environ)
    reader.last_revision = last_applied(store, project)

    def places(loaded: Project) -> Places:
        return places_for(settings, loaded, project.output)

    manner = Manner(
        rules=RuleBook(settings, os.environ),
        policy=settings.policy,
        holder=holder(),
        lease_ttl_s=settings.timing.lease_ttl_s,
        sweep_every_s=settings.timing.sweep_interval_s,
        sweep_grace_s=settings.timing.sweep_grace_s,
        roll_out=project.roll_out,
    )
    launch = LaunchWords(environment=os.environ, env_files=project.env_files, profiles=project.profiles)
    engine = build_engine(
        settings=settings, reader=reader, store=store, places=places, manner=manner, drivers=drivers, launch=launch
    )
    return Followed(reader, engine, inbox_for(settings, store))


def last_applied(store: Store, project: ProjectSettings) -> str:
    """The revision of this checkout that an earlier process acted upon last, empty where there was none: a history
    that was rewritten while nobody looked is still a rewritten one. Raises StateError."""
    folder = os.path.normpath(project.checkout / project.subfolder)
    sources = [source for name in store.projects() if (source := store.load(name).source) is not None]
    own = [source for source in sources if source.origin == folder or source.origin.startswith(f"{folder}/")]
    return max(own, key=lambda source: source.read_at).revision if own else ""


class Teller:
    """Logs what passes came to: one line for each thing that happened, and nothing when nothing did."""

    def __init__(self) -> None:
        self._log = logging.getLogger("reconciler")
        self._said: dict[str, frozenset[str]] = {}

    def tell(self, key: str, result: PassResult) -> None:
        """`key` is how the project is called in the log. A state of affairs is told when it begins, not while it
        lasts; a deed every time."""
        lasting = dict.fromkeys(_lasting(result))
        before = self._said.get(key, frozenset())
        for level, line in (*(entry for entry in lasting if entry[1] not in before), *_deeds(result)):
            self._log.log(level, "%s: %s", key, line)
        self._said[key] = frozenset(line for _, line in lasting)


def _lasting(result: PassResult) -> Iterator[tuple[int, str]]:
    """What is wrong, what is waited for, what is being deleted, and what serves."""
    for problem in result.problems:
        yield logging.ERROR, str(problem)
    for step in result.plan.steps if result.plan is not None else ():
        if step.action is Action.WAIT:
            yield logging.INFO, f"{step.model}: {step.cause}"
    for verdict in result.plan.refusals if result.plan is not None else ():
        if verdict.guard != "options":  # those are among the problems, with their places
            yield logging.WARNING, f"the guard '{verdict.guard}' refuses: {verdict.text}"
    for done in result.applied:
        if done.error is None and done.step.cause == BEGUN:
            yield logging.INFO, _step_line(done.step)
    for caution in result.published.cautions:
        yield logging.WARNING, caution
    for record in result.known.deployments.values() if result.known is not None else ():
        if record.active and record.endpoint is not None:
            yield (
                logging.INFO,
                f"{record.deployment.model}: ready at {record.endpoint.url} ({record.endpoint.model_id})",
            )


def _deeds(result: PassResult) -> Iterator[tuple[int, str]]:
    """What was done. What failed was logged where it happened, with the platform's words."""
    for done in result.applied:
        if done.error is None and done.step.cause != BEGUN:
            yield logging.INFO, _step_line(done.step)
    if result.published.changed_services:
        yield logging.INFO, f"environment written for {', '.join(result.published.changed_services)}"
    for text in result.published.repaired:
        yield logging.WARNING, text


def _step_line(step: Step) -> str:
    changes = ", ".join(f"{change.key} {change.old} → {change.new}" for change in step.changes)
    return f"{step.action.value} {step.model} on {step.driver}: {step.cause}{f' ({changes})' if changes else ''}"


def log_to(stream: TextIO, *, verbose: bool, environment: Mapping[str, str]) -> None:
    """Log to this stream. No secret of the environment gets through, and nothing that could steer a terminal."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_OneLine(environment))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler], force=True)
    for library in TERSE:
        logging.getLogger(library).setLevel(logging.WARNING)


class _OneLine(logging.Formatter):
    """Messages quote files, platforms and servers: each stays on its line. Our own tracebacks keep theirs."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S")
        self._environment = environment

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = clean(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record), self._environment)
