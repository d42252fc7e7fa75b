"""What an endpoint's state means: the phase to answer, and whether it still has to be brought to its spec. Pure.

Creating                       CREATING
InService on its revision      READY, once it answered a completion; not settled while anything is left to do
InService on another one       READY and not settled: update is called, and refuses what AWS has rolled back; DEGRADED
                               where another endpoint may do better
Updating, …                    CREATING while it is on its way to another revision or size, else as InService
Failed, OutOfService           FAILED
Deleting                       DELETING
anything else                  UNKNOWN
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.aws.errors import CAPACITY_REMEDY, QUOTA_REMEDY
from drivers.aws.sagemaker import names
from drivers.aws.sagemaker.alarms import REMEDY
from drivers.aws.sagemaker.facts import Component, Seen
from drivers.aws.sagemaker.options import is_elastic, is_scaled, replicas
from drivers.aws.tags import SPEC, deployment_from
from drivers.base import Deployment, Phase

ANSWERED, TRIED = "answered", "tried"
"""In the handle: what answered a completion already, and what an update last asked for."""
UNSETTLED = "unsettled"
"""A digest that no spec has: `update` is to be called again."""
_CHANGING = frozenset({"Updating", "SystemUpdating", "RollingBack"})
_FAILED = frozenset({"Failed", "OutOfService", "UpdateRollbackFailed"})
_CREATING_S, _CHANGING_S, _DELETING_S = 15.0, 15.0, 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a deployment stands. READY is provisional until `serves` answered a completion."""

    phase: Phase
    detail: str = ""
    serves: str = ""
    """What answers at the moment: the name of a configuration, or of a component's model."""
    digest: str | None = None
    """The spec that it was brought to; UNSETTLED while something of it is left to do."""
    look_again_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What an endpoint should be brought to by `update`."""

    revision: str
    instances: int | None
    """None where somebody else counts them."""

    def step(self, seen: Seen) -> str:
        """What is asked for next: another revision, or another number of instances of it."""
        return self.revision if seen.config != self.revision else f"{self.revision}*{self.instances}"

    def trial(self, seen: Seen) -> str:
        """Remembered when it was asked for, with the state before: what AWS gave up is not asked for again."""
        return f"{self.step(seen)}@{seen.modified}"

    def is_reached(self, seen: Seen) -> bool:
        return seen.config == self.revision and (self.instances is None or seen.desired in (None, self.instances))


def goal(deployment: Deployment, seen: Seen) -> Goal:
    """The goal for an endpoint with these tags."""
    counted = is_scaled(deployment.spec) or is_elastic(deployment.spec)
    instances = None if counted else int(replicas(deployment.spec).low)
    return Goal(revision=names.wanted(deployment, seen.tags), instances=instances)


def standing(deployment: Deployment, seen: Seen) -> Standing:
    """Where an endpoint without inference components stands."""
    if seen.status == "Creating":
        detail = "AWS is starting the instances and the container"
        return Standing(phase=Phase.CREATING, detail=detail, look_again_s=_CREATING_S)
    if seen.status == "Deleting":
        detail = "AWS is deleting the endpoint"
        return Standing(phase=Phase.DELETING, detail=detail, look_again_s=_DELETING_S)
    if seen.status in _FAILED:
        return Standing(phase=Phase.FAILED, detail=failed(seen.failure or f"the endpoint is {seen.status}"))
    if needs_another(deployment, seen):
        detail = "this change needs another endpoint, and is not made in place"
        return Standing(phase=Phase.DEGRADED, detail=detail, serves=seen.config, digest=UNSETTLED)
    if seen.status in _CHANGING:
        return _changing(deployment, seen)
    if seen.status == "InService":
        return _in_service(deployment, seen)
    return Standing(phase=Phase.UNKNOWN, detail=f"SageMaker calls the endpoint {seen.status}")


def _changing(deployment: Deployment, seen: Seen) -> Standing:
    """Its instances are counted anew by the autoscaler, or by AWS's own hand, or it is on its way to another goal."""
    if is_settled(deployment, seen) and not seen.pending:
        return Standing(phase=Phase.READY, serves=seen.config, digest=deployment.spec.digest)
    detail = "the update failed and is rolled back" if seen.status == "RollingBack" else "the update is under way"
    if seen.status == "SystemUpdating":
        detail = "AWS maintains the endpoint"
    return Standing(phase=Phase.CREATING, detail=detail, serves=seen.config, look_again_s=_CHANGING_S)


def _in_service(deployment: Deployment, seen: Seen) -> Standing:
    if was_given_up(deployment, seen):
        phase = Phase.READY if is_its_own_fault(seen) else Phase.DEGRADED
        return Standing(phase=phase, detail=rolled_back(seen), serves=seen.config, digest=UNSETTLED)
    digest = deployment.spec.digest if is_settled(deployment, seen) else UNSETTLED
    return Standing(phase=Phase.READY, serves=seen.config, digest=digest)


def is_settled(deployment: Deployment, seen: Seen) -> bool:
    """Whether its tags say that everything was done for this very spec, and nobody changed it since."""
    digest = deployment.spec.digest
    done = seen.tags.get(SPEC) == digest and seen.tags.get(names.SETTLED) == digest
    return done and goal(deployment, seen).is_reached(seen)


def was_given_up(deployment: Deployment, seen: Seen) -> bool:
    """Whether this very step was asked for, and AWS went back to what was there: asking again would do no better."""
    aim = goal(deployment, seen)
    tried, at, modified = deployment.handle.get(TRIED, "").partition("@")
    if tried != aim.step(seen) or aim.is_reached(seen):
        return False
    # AWS may give no reason (terraform-provider-aws #48997), and what it shows may be older than the request.
    return seen.modified != modified if at else bool(seen.failure)


def is_its_own_fault(seen: Seen) -> bool:
    """Whether an update that was given up would be as bad on another endpoint: AWS was short of nothing, and what it
    started came up. Another endpoint would become ready, be switched to, and answer as badly as the alarm said."""
    said = seen.failure.lower()
    return not any(part in said for part in ("capacity", "service limit", "quota", "ping health check"))


def rolled_back(seen: Seen) -> str:
    """What happened, for people."""
    why = failed(seen.failure) or "AWS gives no reason"
    return f"the update was rolled back, and it serves what it did before: {why}"


def needs_another(deployment: Deployment, seen: Seen) -> bool:
    """Whether it cannot be brought to the spec: a fixed fleet and one that scales to zero are made differently, and
    what runs in an inference component is replaced by another endpoint, never exchanged."""
    elastic = is_elastic(deployment.spec)
    if elastic and seen.config != names.wanted(deployment, seen.tags):
        return True
    if seen.tags.get(SPEC) == deployment.spec.digest:
        return False
    made = deployment_from(seen.tags)
    return made is not None and is_elastic(made.spec) is not elastic


def with_component(deployment: Deployment, seen: Seen, found: Component | None) -> Standing:
    """Where an endpoint stands that has a model in an inference component, or is to get one."""
    about = standing(deployment, seen)
    if about.phase is not Phase.READY:
        return about
    if found is None and names.LEAVING in seen.tags:
        # FAILED asks for another delete at once: nothing of it goes by itself.
        return Standing(phase=Phase.FAILED, detail="the model's copies are gone, and the endpoint is not")
    if found is None:
        # ABSENT asks for another create, which makes what is missing.
        return Standing(phase=Phase.ABSENT, detail="the endpoint is there, and the model is not in it yet")
    if found.status in ("Creating", "Updating"):
        detail = "AWS is starting the container" if found.status == "Creating" else "the update is under way"
        return Standing(phase=Phase.CREATING, detail=detail, look_again_s=_CREATING_S)
    if found.status == "Deleting":
        return Standing(phase=Phase.DELETING, detail="AWS is deleting the model's copies", look_again_s=_DELETING_S)
    if found.status == "Failed":
        return Standing(phase=Phase.FAILED, detail=failed(found.failure or "the inference component has failed"))
    if found.status != "InService":
        return Standing(phase=Phase.UNKNOWN, detail=f"SageMaker calls the inference component {found.status}")
    return about


def failed(reason: str) -> str:
    """AWS's own words, and what to do next."""
    said = reason.lower()
    if "capacity" in said and "insufficient" in said:
        return f"{reason.rstrip('.')}; {CAPACITY_REMEDY}"
    if "service limit" in said or "quota" in said:
        return f"{reason.rstrip('.')}; {QUOTA_REMEDY}"
    if "describealarms" in said:
        return f"{reason.rstrip('.')}; {REMEDY}"
    if "alarm" in said:
        return f"{reason.rstrip('.')}; requests failed: `reconcile logs` shows what the container wrote"
    if "ping health check" in said or "cloudwatch" in said:
        return f"{reason.rstrip('.')}; `reconcile logs` shows what the container wrote"
    return reason
