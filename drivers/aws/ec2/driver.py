"""EC2 as a platform: the driver's contract. Every method looks first, and what it finds decides.

* create: launching.py: launch template → security group → key → machine
* observe: standing.py, what the states say; health.py, what the model says
* delete: removing.py: mark → machines → security group → key → launch template

`cloud.replicas` above 1 is a group of machines behind a load balancer: fleet.py and fleetstanding.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from drivers import probe
from drivers.aws import check, patience
from drivers.aws.clients import Clients
from drivers.aws.ec2 import fleet, fleetstanding, health, leftovers, machines, removing, standing, updating
from drivers.aws.ec2.expiry import EXPIRES, UNSETTLED, expiry
from drivers.aws.ec2.keys import Keys
from drivers.aws.ec2.launching import Launcher
from drivers.aws.ec2.looking import Looking, machines_of
from drivers.aws.ec2.platform import Platform
from drivers.aws.ec2.preflight import looks
from drivers.aws.ec2.statuses import Statuses
from drivers.aws.ec2.things import Machine, Template
from drivers.aws.everywhere import found_everywhere
from drivers.aws.patience import keeps_time
from drivers.aws.place import Place, place_of
from drivers.aws.settings import AwsSettings
from drivers.base import Capabilities, Deployment, Finding, Look, ModelSpec, Observation, Phase, unknown
from drivers.errors import DriverError, Taken


@keeps_time
class Ec2Driver:
    """The platform `aws-ec2`. `clock` gives the time for patience within one call."""

    name = machines.PLATFORM
    # A machine cannot be started once the launch template is gone, and what else may come late costs nothing and is
    # found by its tags: absence is believed soon.
    capabilities = Capabilities(
        updatable=frozenset({"cloud.ttl"}),
        billable=True,
        settle_s=30.0,
        delete_again_s=10.0,
        startup_timeout_s=1800.0,
        degraded_grace_s=180.0,
    )

    def __init__(self, *, settings: AwsSettings, clients: Clients, clock: Callable[[], datetime]) -> None:
        self._settings, self._clients, self._clock = settings, clients, clock
        self._keys = Keys(settings)
        self._launcher = Launcher(settings, self._keys, clock)
        self._looking = Looking(self._judged)
        self._leftovers = leftovers.Leftovers(self._keys, clock)
        self._fleet = fleet.Fleet(self._launcher, clock)

    def check(self, spec: ModelSpec) -> tuple[Finding, ...]:
        """See `Driver.check`."""
        return check.check(spec, self.name, self._settings)

    def observe(self, deployment: Deployment) -> Observation:
        """What EC2 says of its parts, and the model of itself."""
        platform = self._platform(deployment)
        return self._judged(platform, deployment, machines_of(platform, deployment), Statuses(platform))

    def observe_many(self, deployments: Sequence[Deployment]) -> Mapping[str, Observation]:
        """See `looking`."""
        by_place: dict[Place, list[Deployment]] = defaultdict(list)
        found: dict[str, Observation] = {}
        for deployment in deployments:
            try:
                by_place[self._place(deployment)].append(deployment)
            except DriverError as trouble:
                found[deployment.id] = unknown(trouble)
        there = {Platform(self._clients, place): those for place, those in by_place.items()}
        return found | dict(self._looking.many(there))

    def create(self, deployment: Deployment) -> Observation:
        """Make what is missing, in order. Raises Exhausted when AWS has no machine of any kind that would do."""
        check.refuse(deployment.spec, self.name, self._settings)
        platform = self._platform(deployment)
        there = machines_of(platform, deployment)
        for machine in there:
            if standing.is_foreign(machine, deployment):
                raise Taken(standing.foreign(machine))
        if fleet.is_fleet(deployment):
            return self._fleet_created(platform, deployment, there)
        if there:
            return self._judged(platform, deployment, there, Statuses(platform))
        template = platform.template(deployment.name)
        if _is_deleting(template, deployment):
            return standing.without_machine(deployment, template, None)
        return self._launcher.launch(platform, deployment)

    def update(self, deployment: Deployment) -> Observation:
        """Have what is there end when the spec says. No other key changes in place."""
        check.refuse(deployment.spec, self.name, self._settings)
        platform = self._platform(deployment)
        many = fleet.is_fleet(deployment)
        there = standing.alive(
            one for one in machines_of(platform, deployment) if not standing.is_foreign(one, deployment)
        )
        template = standing.ours(platform.template(deployment.name), deployment)
        updating.retag(platform, deployment, template, there, alone=not many)
        if many:
            self._fleet.settle_ending(platform, deployment)
        return self.observe(deployment)

    def delete(self, deployment: Deployment) -> Observation:
        """One step towards ABSENT, which is answered when all parts were seen gone."""
        platform = self._platform(deployment)
        shown = machines_of(platform, deployment)
        there = [one for one in shown if not standing.is_foreign(one, deployment)]
        template = standing.ours(platform.template(deployment.name), deployment)
        removing.mark(platform, template, there, self._clock())
        many = fleet.is_fleet(deployment)
        going = self._fleet.remove_group(platform, deployment) if many else None
        going = going or removing.terminate(platform, there)
        going = going or (self._fleet.remove_balancer(platform, deployment) if many else None)
        unseen = not shown and removing.is_unseen(template, self._clock())
        return going or removing.remove_rest(platform, deployment, self._keys, unseen=unseen)

    def in_flight(self, deployment: Deployment) -> int | None:
        """What llama-server says of itself."""
        try:
            platform = self._platform(deployment)
            running = [machine for machine in machines_of(platform, deployment) if machine.state == "running"]
            urls = [health.base_url(standing.address(deployment, machine)) for machine in running]
            key = self._keys.key(deployment, platform) if urls else None
            busy = [probe.busy_slots(url, key=key) for url in urls]
        except (DriverError, OSError):
            return None
        told = [number for number in busy if number is not None]
        return sum(told) if told and len(told) == len(busy) else None

    def owned(self, lineage: str) -> Iterable[Deployment]:
        """What has any part left, in all places that the settings know."""
        return self.owned_at(lineage, ())

    def owned_at(self, lineage: str, specs: Collection[ModelSpec]) -> Iterable[Deployment]:
        """The same, and in those where the specs lead."""
        return found_everywhere(self._clients, self._settings, specs, partial(self._owned_in, lineage))

    def destination(self, spec: ModelSpec) -> Mapping[str, str]:
        """Where a machine of this spec would be."""
        return self._clients.destination(spec)

    def logs(self, deployment: Deployment, lines: int = 200) -> Iterable[str]:
        """The last lines of the machine's console, on which its server prints; EC2 renews it now and then."""
        platform = self._platform(deployment)
        machine = standing.best(machines_of(platform, deployment))
        return platform.console(machine.id).splitlines()[-lines:] if machine is not None else ()

    def preflight(self) -> Iterable[Look]:
        """What `reconcile doctor` shows."""
        return looks(self._settings, self._clients)

    # -- looking ------------------------------------------------------------------------------------------------------

    def _owned_in(self, lineage: str, place: Place) -> Iterable[Deployment]:
        platform = Platform(self._clients, place)
        with patience.method(self._clients.clock):
            return [replace(one, handle=platform.where) for one in leftovers.deployments(platform, lineage)]

    def _platform(self, deployment: Deployment) -> Platform:
        return Platform(self._clients, self._place(deployment))

    def _place(self, deployment: Deployment) -> Place:
        """Where it is. Raises Denied where the credentials lead to another account."""
        place = place_of(deployment, self._settings)
        self._clients.guard(place, deployment)
        return place

    def _fleet_created(self, platform: Platform, deployment: Deployment, there: Sequence[Machine]) -> Observation:
        template = platform.template(deployment.name)
        if not _is_deleting(template, deployment):
            self._fleet.launch(platform, deployment)
        return fleetstanding.observe(platform, deployment, there, self._keys, self._settings)

    def _judged(
        self, platform: Platform, deployment: Deployment, there: Sequence[Machine], statuses: Statuses
    ) -> Observation:
        seen = self._stands(platform, deployment, there, statuses)
        return self._leftovers.looked_for(platform, deployment, seen)

    def _stands(
        self, platform: Platform, deployment: Deployment, there: Sequence[Machine], statuses: Statuses
    ) -> Observation:
        lost = [one for one in there if standing.is_foreign(one, deployment)]
        there = [one for one in there if one not in lost]
        if fleet.is_fleet(deployment):
            return fleetstanding.observe(platform, deployment, there, self._keys, self._settings)
        machine = standing.best(there)
        if lost and (machine is None or machine.is_gone):
            return Observation(phase=Phase.ABSENT, detail=standing.foreign(lost[0]), foreign=True)
        if machine is None or machine.is_gone:
            return standing.without_machine(deployment, platform.template(deployment.name), machine)
        file = str(self._keys.file(deployment))
        said = standing.by_state(deployment, machine, platform.where, file)
        said = said or self._asked(platform, deployment, machine, statuses)
        is_settled = machine.tags.get(EXPIRES, "") == expiry(deployment)
        return said if is_settled or said.spec_digest is None else replace(said, spec_digest=UNSETTLED)

    def _asked(self, platform: Platform, deployment: Deployment, machine: Machine, statuses: Statuses) -> Observation:
        """What a machine that runs is worth."""
        known = standing.handle(deployment, machine, platform.where)
        address = standing.address(deployment, machine)
        if not address:
            return health.creating(deployment, known, "the machine has no address yet")
        key = self._keys.key(deployment, platform)
        if key is None:
            return Observation(phase=Phase.FAILED, detail=standing.KEY_LOST, handle=known)
        where = health.endpoint(deployment, address, str(self._keys.file(deployment)))
        if health.ANSWERED in known:
            if health.is_well(deployment, address):
                return health.ready(deployment, where, known)
            why = statuses.of(machine.id) or "the server does not pass its health check"
            return health.degraded(deployment, where, known, why)
        missing = health.first_answer(deployment, address, key, self._settings)
        if missing == health.KEY_REFUSED:
            self._keys.renewed(deployment, platform)
        if missing:
            return health.creating(deployment, known, missing)
        return health.ready(deployment, where, {**known, health.ANSWERED: machine.id})


def _is_deleting(template: Template | None, deployment: Deployment) -> bool:
    from drivers.aws.ec2.names import DELETING

    mine = standing.ours(template, deployment)
    if template is not None and mine is None:
        raise Taken(f"the launch template {deployment.name} belongs to somebody else; it was left alone")
    return mine is not None and DELETING in mine.tags
