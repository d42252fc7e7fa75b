"""Taking over what the platforms say is ours and the record does not know: after a lost state, or one put back.

State is a cache of intent and evidence. Whatever carries our lineage and project in its tags was made by us, so it is
taken into the record and treated like everything else there, except that it is never deleted only because no file
wants it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from drivers.base import Deployment, Driver
from drivers.errors import DriverError
from drivers.naming import NAMING_VERSION
from state.record import Append, Change, DeploymentRecord, Event, Intent, PutDeployment, Recorded

log = logging.getLogger(__name__)


def list_owned(
    names: Iterable[str], drivers: Callable[[str], Driver], lineage: str
) -> Mapping[str, tuple[Deployment, ...]]:
    """What each platform has of this lineage, by driver. A platform that cannot list completely is left out: nothing
    is adopted from there this time, and nothing is deleted anywhere because of it."""
    found = {}
    for name in names:
        try:
            found[name] = tuple(drivers(name).owned(lineage))
        except DriverError as error:
            log.warning("%s cannot be asked what it has of ours: %s", name, error)
    return found


def adopt(recorded: Recorded, owned: Mapping[str, tuple[Deployment, ...]], now: datetime) -> Recorded:
    """The record with everything of this project in it that was found and is not there yet. Pure.

    An adopted deployment counts as retired now: should it not be what is wanted, it has its bake time before it goes.
    """
    unknown = {
        deployment.id: _adopted(driver, deployment, now)
        for driver, deployments in owned.items()
        for deployment in deployments
        if (deployment.lineage, deployment.project) == (recorded.lineage, recorded.project)
        and deployment.id not in recorded.deployments
    }
    return replace(recorded, deployments={**recorded.deployments, **unknown}) if unknown else recorded


def adoption_changes(before: Recorded, after: Recorded, now: datetime) -> Iterable[Change]:
    """What must be committed for it, each with an event."""
    for id in after.deployments.keys() - before.deployments.keys():
        record = after.deployments[id]
        yield PutDeployment(record)
        text = f"found on {record.driver} by its tags, and not in the record"
        yield Append(Event(at=now, kind="adopted", model=record.deployment.model, deployment=id, text=text))


def _adopted(driver: str, deployment: Deployment, now: datetime) -> DeploymentRecord:
    return DeploymentRecord(
        deployment=deployment,
        driver=driver,
        naming_version=NAMING_VERSION,
        intent=Intent.CREATE,
        adopted=True,
        created_at=now,
        phase_since=now,
        issued_at=now,
        retired_at=now,
        applied_digest=deployment.spec.digest,
    )
