"""SageMaker real-time endpoints as a platform: the driver's contract, kept with names that collide and tags.

Every method looks first, and what it finds decides. Whatever takes time is AWS's: a create or an update is one step,
and the next call takes the next one. READY means that the model answered a completion at the URL that clients get.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from drivers.aws import check, patience
from drivers.aws.clients import Clients
from drivers.aws.everywhere import found_everywhere
from drivers.aws.patience import keeps_time
from drivers.aws.place import ACCOUNT, CREDENTIALS, REGION, Place, known_places, place_of
from drivers.aws.sagemaker import logs, looking, names, owned, phases, pieces, preflight, removal, requests, updating
from drivers.aws.sagemaker.answering import Answering
from drivers.aws.sagemaker.api import Api
from drivers.aws.sagemaker.facts import Component, Seen
from drivers.aws.sagemaker.ground import ground
from drivers.aws.sagemaker.options import PLATFORM, is_elastic
from drivers.aws.sagemaker.phases import TRIED, Standing
from drivers.aws.sagemaker.scaling import Scaler
from drivers.aws.settings import AwsSettings
from drivers.aws.tags import is_ours
from drivers.base import Capabilities, Deployment, Finding, Look, ModelSpec, Observation, Phase, Token, unknown
from drivers.errors import DriverError, Rejected, Taken

TOKEN_S = 3600
"""How long a client's token is good for, in seconds; it ends earlier where the credentials do."""


@keeps_time
class SageMakerDriver:
    """The platform `aws-sagemaker`."""

    name = PLATFORM
    capabilities = Capabilities(
        updatable=frozenset(
            {
                "context_size", "runtime_flags", "cloud.accelerator", "cloud.accelerator-memory", "cloud.auth",
                "cloud.autoscale-metric", "cloud.autoscale-target", "cloud.cpu", "cloud.disk-size",
                "cloud.health-prompt", "cloud.idle-timeout", "cloud.image", "cloud.instance-type", "cloud.kms-key",
                "cloud.memory", "cloud.model-revision", "cloud.name", "cloud.public-ip", "cloud.quantization",
                "cloud.replicas", "cloud.role", "cloud.scale-down-delay", "cloud.scale-up-delay", "cloud.shm-size",
                "cloud.tags", "aws.inference-ami-version", "aws.update-policy",
            }
        ),
        billable=True,
        # Once the configuration is gone AWS refuses a create that comes late, so a deletion could be believed sooner.
        # But the same time is for records that were lost and for what vanished, and there the configuration stays.
        settle_s=240.0,
        delete_again_s=15.0,
        startup_timeout_s=3600.0,
        degraded_grace_s=120.0,
    )  # fmt: skip

    def __init__(self, *, settings: AwsSettings, clients: Clients, clock: Callable[[], datetime]) -> None:
        self._settings, self._clients, self._clock = settings, clients, clock
        self._answering = Answering(settings, clients)

    def check(self, spec: ModelSpec) -> tuple[Finding, ...]:
        """See `Driver.check`."""
        return check.check(spec, PLATFORM, self._settings)

    def observe(self, deployment: Deployment) -> Observation:
        """What SageMaker says of the endpoint by its name, and what it answers where it never did."""
        place = self._place(deployment)
        api = self._api(place)
        seen = api.endpoint(deployment.name)
        component = api.component(deployment.name) if seen is not None and is_elastic(deployment.spec) else None
        return self._observed(deployment, api, seen, component)

    def observe_many(self, deployments: Sequence[Deployment]) -> Mapping[str, Observation]:
        """One search for a hundred endpoints; only what is on its way, or never answered, is asked for one by one."""
        by_place: dict[Place, list[Deployment]] = {}
        seen: dict[str, Observation] = {}
        for deployment in deployments:
            try:
                by_place.setdefault(self._place(deployment), []).append(deployment)
            except DriverError as trouble:  # one whose place cannot be asked hides no other
                seen[deployment.id] = unknown(trouble)
        for place, own in by_place.items():
            try:
                seen |= looking.many(self._api(place), own, self.observe, self._answer)
            except DriverError as trouble:
                seen |= {one.id: unknown(trouble) for one in own}
        return seen

    def create(self, deployment: Deployment) -> Observation:
        """Make the next missing parts: model, configuration, endpoint; for one that scales to zero, the component at
        last, when the endpoint is there. Raises Denied where the settings name no role."""
        check.refuse(deployment.spec, PLATFORM, self._settings)
        place = self._place(deployment)
        api = self._api(place)
        wanted = self._parts(deployment, place, names.revision(deployment))
        seen = api.endpoint(deployment.name)
        if seen is None:
            # Asked for first: what fails after the endpoint was asked for must be about the endpoint.
            handle = self._handle(deployment, place, api)
            api.make("model", wanted.model, deployment)
            api.make("endpoint_config", wanted.config, deployment)
            api.make("endpoint", wanted.endpoint, deployment)
            return Observation(
                phase=Phase.CREATING,
                detail="AWS is starting the instances and the container",
                handle=handle,
                look_again_s=15.0,
            )
        if not is_ours(seen.tags, deployment):
            raise Taken(f"creating {deployment.name}: an endpoint of that name is not ours; it was left alone")
        if not is_elastic(deployment.spec):
            return self._observed(deployment, api, seen, None)
        return self._complete(deployment, place, api, seen)

    def update(self, deployment: Deployment) -> Observation:
        """Take the next step towards the spec; see `updating`. What AWS gave up is not asked for again: Rejected where
        it would be as bad on another endpoint."""
        check.refuse(deployment.spec, PLATFORM, self._settings)
        place = self._place(deployment)
        api = self._api(place)
        seen = api.endpoint(deployment.name)
        if seen is not None and not is_ours(seen.tags, deployment):
            raise Taken(
                f"updating {deployment.name}: the endpoint of that name is not ours any more; it was left alone"
            )
        if seen is None or phases.standing(deployment, seen).phase is not Phase.READY or seen.status != "InService":
            return self.observe(deployment)
        if phases.was_given_up(deployment, seen):
            raise Rejected(f"updating {deployment.name}: {phases.rolled_back(seen)}")
        parts = partial(self._parts, deployment, place)
        aim = updating.step(api, self._scaler(place), deployment, seen, parts)
        if aim is None:
            return self.observe(_without_trial(deployment))
        return Observation(
            phase=Phase.CREATING,
            detail="the update is under way",
            endpoint=self._answering.endpoint(deployment, place),
            handle=dict(self._handle(deployment, place, api)) | {TRIED: aim.trial(seen)},
            look_again_s=15.0,
        )

    def delete(self, deployment: Deployment) -> Observation:
        """Ask for the removal of the next part, in the order of `removal`; ABSENT when all were seen gone."""
        place = self._place(deployment)
        api = self._api(place)
        seen = api.endpoint(deployment.name)
        if seen is not None and is_ours(seen.tags, deployment):
            detail = removal.delete_endpoint(api, self._scaler(place), deployment, seen)
            return Observation(phase=Phase.DELETING, detail=detail, look_again_s=10.0)
        if removal.delete_rest(api, self._scaler(place), deployment, keep="" if seen is None else seen.config):
            return _absent(seen)
        return Observation(phase=Phase.DELETING, detail="what was around the endpoint is being removed")

    def in_flight(self, deployment: Deployment) -> int | None:
        """AWS does not tell."""
        return None

    def owned(self, lineage: str) -> Iterable[Deployment]:
        """By their tags, in every region and with all credentials that the settings name."""
        return self.owned_at(lineage, ())

    def owned_at(self, lineage: str, specs: Collection[ModelSpec]) -> Iterable[Deployment]:
        """The same, and where the specs lead."""
        return found_everywhere(self._clients, self._settings, specs, partial(self._owned_in, lineage))

    def destination(self, spec: ModelSpec) -> Mapping[str, str]:
        """Where an endpoint of this spec would be."""
        return self._clients.destination(spec)

    def logs(self, deployment: Deployment, lines: int = 200) -> Iterable[str]:
        """The last lines of its containers, from CloudWatch."""
        place = place_of(deployment, self._settings)
        return logs.tail(self._clients(place, "logs").reads, deployment, lines)

    def preflight(self) -> Iterable[Look]:
        """What `reconcile doctor` says of AWS: credentials, region, role, quota."""
        return tuple(preflight.looks(known_places(self._settings)[0], self._clients, self._settings))

    def token(self, deployment: Deployment) -> Token:
        """A token for the endpoint's URL, made here from the credentials; nothing is asked."""
        place = place_of(deployment, self._settings)
        return self._clients.token(place, "sagemaker", TOKEN_S, self._clock())

    def _complete(self, deployment: Deployment, place: Place, api: Api, seen: Seen) -> Observation:
        component = api.component(deployment.name)
        if component is None and phases.standing(deployment, seen).phase is Phase.READY:
            api.make("inference_component", requests.component(deployment, seen.config), deployment)
            detail = "AWS is starting the container"
            handle = self._handle(deployment, place, api)
            return Observation(phase=Phase.CREATING, detail=detail, handle=handle, look_again_s=15.0)
        return self._observed(deployment, api, seen, component)

    def _observed(
        self, deployment: Deployment, api: Api, seen: Seen | None, component: Component | None
    ) -> Observation:
        if seen is None or not is_ours(seen.tags, deployment):
            if pieces.remains(api, deployment):
                # FAILED asks for another delete at once: nothing of it goes by itself.
                return Observation(phase=Phase.FAILED, detail="the endpoint is gone, and what was around it is not")
            return _absent(seen)
        if is_elastic(deployment.spec):
            return self._answer(deployment, phases.with_component(deployment, seen, component))
        return self._answer(deployment, phases.standing(deployment, seen))

    def _answer(self, deployment: Deployment, about: Standing) -> Observation:
        place = place_of(deployment, self._settings)
        if about.digest == deployment.spec.digest:
            deployment = _without_trial(deployment)
        handle = self._handle(deployment, place, self._api(place))
        return self._answering.observation(deployment, place, about, handle)

    def _parts(self, deployment: Deployment, place: Place, revision: str) -> requests.Parts:
        where = ground(deployment, place, self._clients, self._settings)
        return requests.parts(deployment, revision, self._settings, where)

    def _place(self, deployment: Deployment) -> Place:
        """Where it is. Raises Denied where the credentials lead to another account."""
        place = place_of(deployment, self._settings)
        self._clients.guard(place, deployment)
        return place

    def _owned_in(self, lineage: str, place: Place) -> Iterable[Deployment]:
        api = self._api(place)
        with patience.method(self._clients.clock):
            things = dict(owned.tagged(self._clients(place, "resourcegroupstaggingapi").reads, lineage))
            found = tuple(owned.deployments(things, api.search(lineage)))
        return [_placed(each, self._where(place, api)) for each in found]

    def _api(self, place: Place) -> Api:
        return Api(self._clients(place, "sagemaker"))

    def _scaler(self, place: Place) -> Scaler:
        return Scaler(self._clients(place, "application-autoscaling"), self._clients(place, "cloudwatch"))

    def _handle(self, deployment: Deployment, place: Place, api: Api) -> Mapping[str, str]:
        return dict(deployment.handle) | self._where(place, api)

    def _where(self, place: Place, api: Api) -> dict[str, str]:
        return {REGION: api.region, CREDENTIALS: place.credentials, ACCOUNT: self._clients.account(place)}


def _absent(seen: Seen | None) -> Observation:
    """Nothing of ours; `seen` is an endpoint that stands in its place."""
    if seen is None:
        return Observation(phase=Phase.ABSENT)
    return Observation(phase=Phase.ABSENT, detail=f"endpoint {seen.name} is there without our tags", foreign=True)


def _without_trial(deployment: Deployment) -> Deployment:
    """What was asked for is there: should it be asked for once more, some other day, it is not held against it."""
    return _placed(deployment, {key: value for key, value in deployment.handle.items() if key != TRIED})


def _placed(deployment: Deployment, handle: Mapping[str, str]) -> Deployment:
    return replace(deployment, handle=handle)
