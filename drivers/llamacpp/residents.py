"""Who lives in the run folders of this host, whichever state made them. Looks only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from drivers.base import Deployment
from drivers.errors import Rejected
from drivers.llamacpp.command import reference
from drivers.llamacpp.life import life_of, read
from drivers.llamacpp.rundir import folders
from drivers.modelstore.reference import parse_reference


class Resident(NamedTuple):
    """A run folder with a record in it."""

    deployment: Deployment
    folder: Path
    lives: bool
    """Its server runs, or is being started."""
    pid: int | None
    """The process, where it can be seen."""


def residents(run_root: Path) -> Iterator[Resident]:
    """Every run folder whose record can be understood, by name. Raises OSError."""
    for folder in folders(run_root):
        record = read(folder)
        if record is not None:
            life = life_of(record.deployment, folder)
            pid = life.seen.pid if life.seen is not None else None
            yield Resident(record.deployment, folder.path, life.held or life.seen is not None, pid)


def users_of(run_root: Path, model: str) -> tuple[Deployment, ...]:
    """The deployments with a live server that was started with this model's files. `model` is a reference; one that
    cannot be understood is used by nobody. Raises OSError."""
    wanted = _canonical(model)
    return tuple(
        each.deployment
        for each in residents(run_root)
        if each.lives and wanted is not None and _serves(each.deployment) == wanted
    )


def _serves(deployment: Deployment) -> str | None:
    try:
        return _canonical(reference(deployment.spec))
    except Rejected:
        return None


def _canonical(text: str) -> str | None:
    try:
        return parse_reference(text).canonical
    except ValueError:
        return None
