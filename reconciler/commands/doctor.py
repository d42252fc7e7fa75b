"""Check this host, the state and the platforms in use, and say for everything that is wrong what would mend it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from drivers.base import Look
from drivers.errors import DriverError
from reconciler.commands.project import add_settings_arguments, say, settings_from
from reconciler.settings import Settings
from reconciler.text import clean

if TYPE_CHECKING:
    from drivers.llamacpp.residents import Resident

EXAMPLES = """\
examples:
  reconcile doctor
  reconcile doctor --platform aws-sagemaker --format json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument(
        "--platform",
        action="append",
        default=[],
        metavar="NAME",
        help="also ask this platform: credentials, quota, access (default: those that something runs on)",
    )
    add_settings_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_from(arguments)
    found = (*checks(settings), *_platforms(settings, arguments.platform))
    if arguments.format == "json":
        say(json.dumps([check._asdict() for check in found], indent=2))
    else:
        for check in found:
            say(clean(f"{'✓' if check.ok else '✗' if check.needed else '–'} {check.name}: {check.text}"))
    return 0 if all(check.ok or not check.needed for check in found) else 1


def checks(settings: Settings) -> Iterator[Look]:
    """Each look on its own: one that fails hides no other."""
    yield _state(settings)
    yield from _strangers(settings)
    yield _server(settings)
    yield _models(settings)
    yield _command("git", "install git: the service reads commits", needed=True)
    yield _command("docker", "without Docker, services read the env files instead of the override file", needed=False)
    yield _space(settings)


def _platforms(settings: Settings, asked: Sequence[str]) -> Iterator[Look]:
    """What the platforms themselves say, read-only: those that were named, else those that the record knows."""
    from reconciler.wiring import Drivers

    drivers = Drivers(settings, os.environ)
    for name in dict.fromkeys(asked or _used(settings)):
        try:
            preflight = getattr(drivers(name), "preflight", None)
            if preflight is not None:
                yield from (look._replace(name=f"{name}: {look.name}") for look in preflight())
            elif asked:
                yield Look(name, True, "has nothing to be asked beforehand")
        except DriverError as error:
            yield Look(name, False, str(error))


def _used(settings: Settings) -> Sequence[str]:
    from contextlib import closing

    from state.open import open_store
    from state.store import StateError

    try:
        with closing(open_store(settings.state, readonly=True)) as store:
            known = [store.load(name) for name in store.projects()]
    except StateError:
        return ()  # said already, by the look at the state
    return sorted({record.driver for each in known for record in each.deployments.values()})


def _state(settings: Settings) -> Look:
    from contextlib import closing

    from state.open import open_store
    from state.store import StateError, StateLost, StateMissing

    try:
        with closing(open_store(settings.state, readonly=True)) as store:
            count = len([store.load(name) for name in store.projects()])
            text = f"{settings.state}, lineage {store.lineage}, {count} project{'' if count == 1 else 's'}"
    except StateLost as error:
        return Look("state", False, f"{error} ({_copies(settings)})")
    except StateMissing:
        return Look("state", True, f"none yet at {settings.state}; the first run makes it")
    except StateError as error:
        return Look("state", False, str(error))
    return Look("state", True, text)


def _copies(settings: Settings) -> str:
    from state.backup import backups
    from state.open import state_path

    found = backups(state_path(settings.state))
    return f"the newest of {len(found)} copies: {found[0]}" if found else "there is no copy"


def _server(settings: Settings) -> Look:
    from drivers.llamacpp.find import find_server
    from reconciler.wiring import llamacpp_settings

    try:
        return Look("llama-server", True, str(find_server(llamacpp_settings(settings, os.environ))))
    except DriverError as error:
        return Look("llama-server", False, str(error))


def _strangers(settings: Settings) -> Iterator[Look]:
    """Servers of another record than the present one: nobody looks after them, and nobody ends them."""
    from contextlib import closing

    from drivers.llamacpp.residents import residents
    from state.open import open_store
    from state.store import StateError

    try:
        with closing(open_store(settings.state, readonly=True)) as store:
            lineage = store.lineage
        for one in residents(settings.run_dir):
            if one.deployment.lineage != lineage:
                yield Look("server of another record", False, _stranger(one), needed=False)
    except (StateError, OSError):
        return  # without a record nobody can say whose they are


def _stranger(one: Resident) -> str:
    ending = f"end it with `kill {one.pid}` and " if one.lives and one.pid is not None else ""
    state = "runs" if one.lives else "does not run"
    return (
        f"{one.deployment.model} of project {one.deployment.project} (lineage {one.deployment.lineage}) {state}; "
        f"unless another --state looks after it, {ending}remove {one.folder}"
    )


def _models(settings: Settings) -> Look:
    from reconciler.wiring import Drivers

    try:
        count = len(Drivers(settings, os.environ).models.ls())
    except (DriverError, OSError) as error:
        return Look("model files", False, str(error))
    return Look("model files", True, f"{count} in {settings.models_dir}")


def _command(name: str, remedy: str, *, needed: bool) -> Look:
    found = shutil.which(name)
    return Look(name, found is not None, found or f"not found; {remedy}", needed)


def _space(settings: Settings) -> Look:
    from reconciler.text import byte_size

    folder = next(each for each in (settings.models_dir, *settings.models_dir.parents) if os.path.isdir(each))
    free = shutil.disk_usage(folder).free
    return Look("disk", free > 2 * 2**30, f"{byte_size(free)} free for models under {folder}", needed=False)
