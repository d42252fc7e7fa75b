"""What the commands about the record share: which project, and the store it is in."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconciler.commands.project import NothingRecorded, ProjectContext, settings_from
from reconciler.errors import ReconcilerError

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
    """The project that is named, or that the files here are; without either, all that are recorded."""
    if arguments.project_name:
        return (arguments.project_name,)
    if arguments.files:
        return (ProjectContext(arguments).reading.project.name,)
    recorded = store.projects()
    try:
        here = ProjectContext(arguments).reader.read().project.name
    except ReconcilerError:
        return recorded
    return (here,) if here in recorded else recorded


def one_project(arguments: argparse.Namespace, store: Store) -> str:
    """The one project that is meant. Raises NothingRecorded when there is none, or several."""
    names = project_names(arguments, store)
    if len(names) == 1:
        return names[0]
    found = f"several projects are recorded ({', '.join(names)})" if names else "no project is recorded"
    raise NothingRecorded(f"{found}; name one with -p NAME")
