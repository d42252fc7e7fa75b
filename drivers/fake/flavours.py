"""Where real platforms differ, each class with the service whose manners it has and where those are written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType

from drivers.base import Capabilities, Deployment, Observation, Phase
from drivers.errors import Rejected, Taken, Unavailable
from drivers.fake.platform import FakePlatform, Thing, owns


@dataclass(slots=True)
class NamedPlatform(FakePlatform):
    """Like SageMaker's endpoints: the name is the only key, and a second create of it is refused.

    What is being created cannot be deleted (github.com/aws/amazon-sagemaker-examples/issues/3432), and a delete during
    an update may be answered with success and do nothing (github.com/hashicorp/terraform-provider-aws/pull/39152).
    """

    update_s: float = 15.0

    def update(self, deployment: Deployment) -> None:
        super(NamedPlatform, self).update(deployment)
        thing = self.find(deployment)
        if thing is not None:
            thing.busy_until = self.clock() + timedelta(seconds=self.update_s)

    def delete(self, deployment: Deployment) -> None:
        thing = self.find(deployment)
        if thing is not None and self.clock() < thing.ready_at and not thing.fails:
            raise Unavailable(f"deleting {deployment.name}: what is being created cannot be deleted")
        if thing is None or thing.busy_until is None or self.clock() >= thing.busy_until:
            super(NamedPlatform, self).delete(deployment)


@dataclass(slots=True)
class TokenPlatform(FakePlatform):
    """Like EC2's instances: ids are the platform's own, names mean nothing, a request token makes a create idempotent.

    The same token gives the same instance, also one that is gone or has lost its tags by now, and with other parameters
    an error (docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html). What was made is listed a little later
    only (docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html).
    """

    lag_s: float = 4.0
    tokens: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The digest of what was asked for with a token, and the id of what was made."""

    def find(self, deployment: Deployment) -> Thing | None:
        """By its tags, and not before the platform shows it."""
        self.tidy()
        return next((thing for thing in self.things.values() if owns(deployment, thing) and self._shown(thing)), None)

    def in_its_place(self, deployment: Deployment) -> str | None:
        """Instances can be asked for by the token that made them (DescribeInstances, filter `client-token`)."""
        _, id = self.tokens.get(deployment.id, ("", ""))
        return id if id in self.things and not owns(deployment, self.things[id]) else None

    def create(self, deployment: Deployment) -> None:
        self.tidy()
        asked = deployment.spec.digest
        before = self.tokens.get(deployment.id)
        if before is None:
            id = f"i-{len(self.tokens):04x}"
            self._make(id, deployment)
            self.tokens[deployment.id] = (asked, id)
        elif before[0] != asked:
            raise Rejected(f"creating {deployment.name}: its request token was used for something else")
        elif before[1] not in self.things:
            raise Taken(f"creating {deployment.name}: its request token made {before[1]}, which is gone")
        elif self.in_its_place(deployment) is not None:
            raise Taken(f"creating {deployment.name}: {before[1]} is there without our tags; left alone")

    def by_hand(self, id: str) -> None:
        """What was terminated is shown as such for an hour."""
        self.things[id].fails = "terminated by hand"

    def owned(self) -> list[Deployment]:
        self.tidy()
        return [t.deployment for t in self.things.values() if t.deployment is not None and self._shown(t)]

    def _shown(self, thing: Thing) -> bool:
        return thing.made_at is None or self.clock() >= thing.made_at + timedelta(seconds=self.lag_s)


@dataclass(slots=True)
class OperationPlatform(FakePlatform):
    """Like Vertex AI's endpoints: creating one and deploying to it are operations that go on without their client.

    A deploy that failed leaves an empty endpoint (github.com/googleapis/python-aiplatform/issues/1041). One on which
    something is being deployed is not deleted, and what is deployed must be undeployed first: one delete takes the
    model away, the next one the endpoint (cloud.google.com/vertex-ai/docs/predictions/undeploy-model).
    """

    def create(self, deployment: Deployment) -> None:
        """A deploy on an endpoint that has our model already would make a second copy: `find` says it is there."""
        super(OperationPlatform, self).create(deployment)
        thing = self.find(deployment)
        if thing is not None and not thing.parts:
            thing.parts = ("endpoint", "deployed model")

    def delete(self, deployment: Deployment) -> None:
        thing = self.find(deployment)
        if thing is None or thing.gone_at is not None:
            return
        if self.clock() < thing.ready_at:
            raise Unavailable(f"deleting {deployment.name}: an operation on it is under way")
        if "deployed model" in thing.parts and not thing.fails:
            thing.parts, thing.fails = ("endpoint",), "its model was undeployed"
        else:
            super(OperationPlatform, self).delete(deployment)

    def seen(self, thing: Thing) -> Observation:
        if thing.parts == ("endpoint",) and thing.gone_at is None:
            return Observation(phase=Phase.DELETING, detail="undeployed; the endpoint is left")
        return super(OperationPlatform, self).seen(thing)


PARTS = ("model", "config", "endpoint")


@dataclass(slots=True)
class PartsPlatform(FakePlatform):
    """Like a SageMaker deployment as a whole: a model, a configuration that names it, an endpoint that names that.

    Each is a call of its own. Whoever is stopped between two of them leaves the first ones; a create makes what is
    missing, a delete takes everything away, the endpoint first.
    """

    between: Callable[[str], None] = lambda part: None
    """Called before each part is made or taken away; what it raises ends the call there."""

    def create(self, deployment: Deployment) -> None:
        for part in PARTS:
            self.between(part)
            super(PartsPlatform, self).create(deployment)
            thing = self.find(deployment)
            if thing is not None and part not in thing.parts and thing.gone_at is None:
                thing.parts = (*thing.parts, part)
                thing.ready_at = self.clock() + timedelta(seconds=self.create_s)

    def delete(self, deployment: Deployment) -> None:
        for part in reversed(PARTS):
            self.between(part)
            thing = self.find(deployment)
            if thing is not None:
                thing.parts = tuple(other for other in thing.parts if other != part)
        super(PartsPlatform, self).delete(deployment)

    def seen(self, thing: Thing) -> Observation:
        if thing.gone_at is None and thing.parts != PARTS:
            return Observation(phase=Phase.FAILED, detail=f"all there is of it: {', '.join(thing.parts) or 'a name'}")
        return super(PartsPlatform, self).seen(thing)


@dataclass(slots=True)
class LocalPlatform(FakePlatform):
    """Like processes of this host: there at once, gone at once, and all gone after a reboot. They cost nothing."""

    create_s: float = 0.0
    delete_s: float = 0.0
    usd_per_hour: float = 0.0

    def reboot(self) -> None:
        self.things = {id: thing for id, thing in self.things.items() if thing.deployment is None}

    @property
    def capabilities(self) -> Capabilities:
        return replace(super(LocalPlatform, self).capabilities, local=True, settle_s=5.0)


FLAVOURS: Mapping[str, type[FakePlatform]] = MappingProxyType(
    {
        "plain": FakePlatform,
        "names": NamedPlatform,
        "tokens": TokenPlatform,
        "operations": OperationPlatform,
        "parts": PartsPlatform,
        "local": LocalPlatform,
    }
)
