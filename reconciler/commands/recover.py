"""Put a lost or damaged record back: from a copy, or empty under the same identity. What stood there is kept aside.

Either way nothing that runs is ended: the next run finds by their marks the servers that the record does not know.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC
from pathlib import Path

from reconciler.commands.project import Mistake, add_settings_arguments, say, settings_from
from reconciler.errors import Refused
from reconciler.text import clean

EXAMPLES = """\
examples:
  reconcile recover                  put the newest copy in the place of the record that is lost
  reconcile recover --from FILE      this copy
  reconcile recover --empty          no copy: begin again, with what runs
  reconcile recover --lineage ID     nothing is left of the record, and this was its identity
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--from", dest="copy", metavar="COPY", help="a copy of the record (default: the newest)")
    way.add_argument("--empty", action="store_true", help="an empty record under the identity of the one before")
    way.add_argument("--lineage", metavar="ID", help="an empty record under this identity, where there is none of use")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_settings_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from reconciler.clock import SystemClock
    from state.backup import begin_again, restore
    from state.open import state_path
    from state.store import Held, StateError

    settings = settings_from(arguments)
    if settings.state == "memory:":
        raise Mistake("a record in memory ends with its process; name the lost one with --state sqlite:PATH")
    path = state_path(settings.state)
    if arguments.lineage is not None:
        trouble = _vacancy(settings.state, _lineage(arguments.lineage))
    else:
        trouble = _trouble(settings.state)
    if not trouble and arguments.copy is None:
        raise Refused(f"the record {path} is sound; to put a copy in its place all the same, name it with --from")
    anew = arguments.empty or arguments.lineage is not None
    copy = None if anew else Path(arguments.copy) if arguments.copy is not None else _newest(path)
    _tell(path, trouble, copy, arguments.lineage)
    if not arguments.yes and not (sys.stdin.isatty() and _agreed()):
        raise Refused("nothing was changed; run with --yes to do it without being asked")
    now = SystemClock().now()
    try:
        if copy is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = begin_again(path, now, lineage=arguments.lineage)
        else:
            aside = restore(path, copy, now)
    except Held as error:
        raise StateError(str(error)) from None  # without the advice to leave it the work
    if aside is not None:
        say(clean(f"what stood there is kept in {aside}"))
    say("the record is in place; run `reconcile` or start the service, which takes over what runs")
    return 0


def _trouble(url: str) -> str:
    """What is wrong with the record, empty where it is sound. Raises StateError where there never was one."""
    from contextlib import closing

    from state.open import open_store
    from state.store import StateDamaged, StateLost

    try:
        with closing(open_store(url, readonly=True)) as store:
            for project in store.projects():
                store.load(project)
    except (StateLost, StateDamaged) as error:
        return str(error)
    return ""


def _lineage(text: str) -> str:
    from uuid import UUID

    try:
        if str(UUID(text)) == text:
            return text
    except ValueError:
        pass
    raise Mistake(
        f"--lineage: {text!r} is no identity of a record: it stands in the files that the record's runs wrote"
    )


def _vacancy(url: str, lineage: str) -> str:
    """Why there is nothing of use at the record's place. Raises Refused where something would be forgotten."""
    from contextlib import closing

    from state.open import open_store
    from state.store import StateMissing

    trouble = ""
    try:
        trouble = _trouble(url)
    except StateMissing as error:
        return str(error)
    if trouble:
        raise Refused(f"{trouble}; only then is another identity taken on")
    with closing(open_store(url, readonly=True)) as store:
        if store.projects():
            raise Refused("the record has projects of its own: name another place for this one with --state")
    return "the record has made nothing"


def _newest(path: Path) -> Path:
    from state.backup import backups

    found = backups(path)
    if not found:
        raise Mistake(f"there is no copy of {path}: name one with --from, or begin again with --empty")
    return found[0]


def _tell(path: Path, trouble: str, copy: Path | None, lineage: str | None) -> None:
    say(clean(trouble or f"the record {path} is sound"))
    if copy is None:
        say(f"what is done: an empty record takes its place, under {lineage or 'the same identity'}")
        say("what is lost: protection of models, their history, and how often they were tried")
    else:
        say(clean(f"what is done: the copy {copy}{_taken(copy)} takes its place"))
        say("what is lost: what was recorded since; servers that were started since are found by their marks")


def _taken(copy: Path) -> str:
    from datetime import datetime

    try:
        written = datetime.fromtimestamp(copy.stat().st_mtime, UTC)
    except OSError:
        return ""  # whoever reads it says what is wrong
    return f", written {written:%Y-%m-%d %H:%M} UTC,"


def _agreed() -> bool:
    sys.stderr.write("Do it? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
