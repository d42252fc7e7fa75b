"""Asking the platforms what they have of ours, and taking into the record what it does not know.

Under each new lease all that are needed are asked, later all there are, now and then: when is in `sweep.py`, what
follows in `adoption.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType

from drivers.base import Driver, ModelSpec
from drivers.errors import DriverError
from reconciler.adoption import Owned, adopt, adoption_changes, forgotten, unknown
from reconciler.manner import Manner
from reconciler.moment import Unlisted
from reconciler.placement import LOCAL
from reconciler.ports import Outputs, Ports
from reconciler.reading import Reading
from reconciler.sweep import Sweeps, due, noted, settled, unlisted
from reconciler.tenure import Tenure
from state.record import Append, Recorded
from state.store import KEPT_EVENTS, Store

log = logging.getLogger(__name__)


class Inventory:
    """Of one lease; a new lease begins a new one."""

    def __init__(self, store: Store, ports: Ports, manner: Manner, tenure: Tenure) -> None:
        self._store, self._ports, self._manner, self._tenure = store, ports, manner, tenure
        self._sweeps = Sweeps(began_s=ports.clock.monotonic())
        self.unlisted: Mapping[str, Unlisted] = {}
        """Needed platforms on which there may be more of ours than is recorded."""

    def recorded(self, reading: Reading, outputs: Outputs) -> Recorded:
        """The record, and in it what the platforms that were due just now have of ours beside it: that is committed.

        A record that knows of no files although there are some was lost: what they name may be on any platform, so all
        are needed until the files are written again.
        """
        recorded, clock = self._tenure.load(), self._ports.clock
        needed = {model.driver for model in reading.desired.models.values()} | ({LOCAL} & set(self._manner.rules))
        needed |= {record.driver for record in recorded.deployments.values()}
        every, interval_s = tuple(self._manner.rules), self._manner.sweep_every_s
        if not recorded.outputs and outputs.highest_epoch():
            needed |= set(every)
        asked = due(self._sweeps, needed, every, clock.monotonic(), interval_s, self._settled_s(recorded, needed))
        owned, failures = list_owned(asked, self._ports.drivers, self._store.lineage, _specs(reading, recorded))
        sweeps = noted(self._sweeps, asked, failures, clock.monotonic())
        known = self._with_found(recorded, owned)
        # Only now: what was found and could not be written down is to be found again by the next pass.
        self._sweeps = sweeps
        self.unlisted = unlisted(sweeps, needed, clock.now(), clock.monotonic(), self._settled_s(known, needed))
        return known

    def _settled_s(self, recorded: Recorded, needed: Collection[str]) -> Mapping[str, float]:
        rules = self._manner.rules
        # Not only those that are swept: what a file or the record names may be on a platform that is not.
        settle_s = {name: rules[name].capabilities.settle_s for name in {*needed, *rules}}
        clock = self._ports.clock
        return settled(recorded.deployments.values(), settle_s, clock.now(), clock.monotonic())

    def _with_found(self, recorded: Recorded, owned: Owned) -> Recorded:
        if not unknown(recorded, owned):
            return recorded
        now = self._ports.clock.now()
        gone = forgotten(self._store.events(recorded.project, limit=KEPT_EVENTS))
        known = adopt(recorded, owned, now, gone, grace_s=self._manner.sweep_grace_s)
        changes = tuple(adoption_changes(recorded, known, now))
        self._tenure.commit(*changes)
        for event in (change.event for change in changes if isinstance(change, Append)):
            log.warning("%s (%s): %s", event.model, event.deployment, event.text)
        return known


def list_owned(
    names: Iterable[str],
    drivers: Callable[[str], Driver],
    lineage: str,
    specs: Mapping[str, Collection[ModelSpec]] = MappingProxyType({}),
) -> tuple[Owned, Mapping[str, DriverError]]:
    """What each platform has of this lineage, and why some did not say: from one that cannot list completely nothing is
    adopted this time, and nothing is deleted anywhere because of it. `specs`, by platform, are those at hand: a driver
    whose platform has many places looks where they lead as well."""
    found, failures = {}, {}
    for name in names:
        try:
            driver = drivers(name)
            at = getattr(driver, "owned_at", None)
            found[name] = tuple(driver.owned(lineage) if at is None else at(lineage, specs.get(name, ())))
        except DriverError as error:
            log.debug("%s cannot be asked what it has of ours: %s", name, error)  # the plan's waits say it once
            failures[name] = error
    return found, failures


def _specs(reading: Reading, recorded: Recorded) -> Mapping[str, Collection[ModelSpec]]:
    """By platform, what the file asks for and what the record has."""
    found: dict[str, list[ModelSpec]] = {}
    for model in reading.desired.models.values():
        found.setdefault(model.driver, []).append(model.spec)
    for record in recorded.deployments.values():
        found.setdefault(record.driver, []).append(record.deployment.spec)
    return found
