"""Ask the platforms how the recorded deployments are, each driver once, all drivers side by side."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from drivers.base import Deployment, Driver, Observation, Phase, unknown
from drivers.errors import DriverError
from reconciler.ports import Pool
from state.record import DeploymentRecord

log = logging.getLogger(__name__)


def observe_all(
    records: Iterable[DeploymentRecord], drivers: Callable[[str], Driver], pool: Pool
) -> dict[str, Observation]:
    """An observation for every record. A platform that cannot be asked gives UNKNOWN with its own words, never less."""
    by_driver: dict[str, list[Deployment]] = {}
    for record in records:
        by_driver.setdefault(record.driver, []).append(record.deployment)
    calls = [_asking(name, tuple(deployments), drivers) for name, deployments in by_driver.items()]
    seen: dict[str, Observation] = {}
    for answers in pool.run(calls):
        seen |= answers
    return seen


def _asking(
    name: str, deployments: tuple[Deployment, ...], drivers: Callable[[str], Driver]
) -> Callable[[], Mapping[str, Observation]]:
    def ask() -> Mapping[str, Observation]:
        try:
            answers = drivers(name).observe_many(deployments)
        except DriverError as error:
            log.debug("%s cannot be asked: %s", name, error)  # each pass asks; the plan's waits say it once
            return dict.fromkeys((deployment.id for deployment in deployments), unknown(error))
        return {
            deployment.id: answers.get(deployment.id, Observation(phase=Phase.UNKNOWN, detail=f"{name} did not say"))
            for deployment in deployments
        }

    return ask
