"""What the commands about the record share: which project, and the store it is in."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconciler.commands.project import ProjectContext, settings_from
from reconciler.errors import NothingRecorded, ReconcilerError

if TYPE_CHECKING:
    from state.store import Store


@contextmanager
def opened(arguments: argparse.Namespace, *, readonly: bool) -> Iterator[Store]:
    """The store, closed again. Raises StateError."""
    from state.open import open_store

    store = open_store(settings_from(arguments).state, readonly=readonly)
    try:
        yield store
    finally:
        store.close()


def project_names(arguments: argparse.Namespace, store: Store) -> tuple[str, ...]:
    """The project that is named, or that the files here are; without either, all that are recorded.

    Raises NothingRecorded for one that is named and not recorded.
    """
    recorded = store.projects()
    if arguments.project_name is not None:
        return (_known(arguments.project_name, recorded),)
    if arguments.files:
        return (_known(ProjectContext(arguments).reading.project.name, recorded),)
    try:
        here = ProjectContext(arguments).reader.read().project.name
    except ReconcilerError:  # files that are broken or not there say nothing about what is recorded
        return recorded
    return (here,) if here in recorded else recorded


def one_project(arguments: argparse.Namespace, store: Store) -> str:
    """The one project that is meant. Raises NothingRecorded when there is none, or several."""
    names = project_names(arguments, store)
    if len(names) == 1:
        return names[0]
    found = f"several projects are recorded ({', '.join(names)})" if names else "no project is recorded"
    raise NothingRecorded(f"{found}; name one with -p NAME" if names else f"{found}; `reconcile` records one")


def _known(name: str, recorded: tuple[str, ...]) -> str:
    from reconciler.options import nearest

    if name in recorded:
        return name
    hint = nearest(name, recorded)
    others = f" (did you mean '{hint}'?)" if hint else f"; there are {', '.join(recorded)}" if recorded else ""
    raise NothingRecorded(f"nothing is recorded of a project '{name}'{others}")
