"""SageMaker hosting as a part of the cloud: its operations put together, its time, its back door, its books."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from infra.localaws.calls import Call
from infra.localaws.errors import AwsError
from infra.localaws.http import Answer, Request
from infra.localaws.overlay import Entry, Operation, Overlay, Surroundings, Verb
from infra.localaws.prices import per_hour
from infra.localaws.sagemaker import autoscaling, components, definitions, endpoints, search, views
from infra.localaws.sagemaker.copies import settle_component
from infra.localaws.sagemaker.dataplane import answer_chat
from infra.localaws.sagemaker.hosting import Hosting, Operate
from infra.localaws.sagemaker.scaled import scale
from infra.localaws.sagemaker.tagging import lend
from infra.localaws.sagemaker.transitions import settle_endpoint
from infra.localaws.sagemaker.world import Endpoint, Region

KINDS = {
    "model": "model",
    "endpoint-config": "endpoint config",
    "endpoint": "endpoint",
    "inference-component": "inference component",
}
READING = ("DescribeEndpoint", "ListTags")


class SageMaker(Overlay):
    """Everything of hosting; the rest of SageMaker is moto's."""

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self.hosting = Hosting(around)

    def operations(self) -> Mapping[tuple[str, str], Operation]:
        parts = (definitions, endpoints, views, search, components)
        hosting = {
            ("sagemaker", name): partial(self._operate, one) for part in parts for name, one in part.OPERATIONS.items()
        }
        scaling = {
            ("application-autoscaling", name): partial(one, self.hosting)
            for name, one in autoscaling.OPERATIONS.items()
        }
        return {**hosting, **scaling, ("sagemaker-runtime", "InvokeEndpoint"): _no_invocations}

    def _operate(self, operate: Operate, call: Call) -> Mapping[str, Any]:
        answer = operate(self.hosting, call)
        named = call.parameters.get("EndpointName") or call.parameters.get("ResourceArn", "").rpartition("/")[2]
        if named and call.operation not in READING:
            self._write(self.hosting.of(call), named)
        return answer

    def before(self, call: Call) -> None:
        if call.service == "logs":
            self.hosting.runs.bring_logs_up_to_date()
        if call.service == "resourcegroupstaggingapi":
            lend(self.hosting, self.hosting.of(call))

    def data_plane(self, request: Request) -> Answer | None:
        return answer_chat(self.hosting, request)

    def verbs(self) -> Mapping[str, Verb]:
        return {"scale": partial(scale, self.hosting), "show-status": self._show_status}

    def _show_status(self, region: str, endpoint: str, status: str | None) -> None:
        there = self.hosting.region(region).endpoints.get(endpoint)
        if there is None:
            raise ValueError(f"there is no endpoint {endpoint} in {region}")
        there.shown = status or ""
        self._write(self.hosting.region(region), endpoint)

    def settle(self, now: datetime) -> None:
        for region in self.hosting.regions.values():
            for endpoint in region.endpoints:
                if settle_endpoint(self.hosting, region, endpoint, now):
                    self._write(region, endpoint.name)
            for component in region.components:
                settle_component(self.hosting, region, component, now)

    def _write(self, region: Region, name: str) -> None:
        """Tell the index what an endpoint looks like now."""
        endpoint = region.endpoints.get(name)
        record = _record(region, endpoint) if endpoint is not None else None
        self.hosting.index.write(region.name, name.lower(), record, self.hosting.now(), self.around.latencies.index_s)

    def books(self) -> Iterable[Entry]:
        for region in self.hosting.regions.values():
            for path, thing in region.things():
                price = _price(thing) if isinstance(thing, Endpoint) else 0.0
                yield Entry("sagemaker", KINDS[path], f"{region.name}/{thing.name}", price)
        for name in self.hosting.scaling.regions():
            for target in self.hosting.scaling.targets(name).values():
                yield Entry("application-autoscaling", "scalable target", f"{name}/{target.resource}")
            for policy in self.hosting.scaling.policies(name).values():
                yield Entry("application-autoscaling", "policy", f"{name}/{policy.resource}/{policy.name}")

    def reset(self) -> None:
        self.hosting.reset()


def _no_invocations(call: Call) -> Mapping[str, Any]:
    """moto would answer with a constant, whatever is there."""
    raise AwsError("NotImplemented", "the local cloud has no InvokeEndpoint: use the endpoint's OpenAI URL")


def _record(region: Region, endpoint: Endpoint) -> dict[str, Any]:
    """What Search says of an endpoint: the description without the change under way, and the tags."""
    record = views.described(region, endpoint)
    for key in ("PendingDeploymentSummary", "LastDeploymentConfig"):
        record.pop(key, None)
    tags = region.tags.get(endpoint.arn, {})
    return record | {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def _price(endpoint: Endpoint) -> float:
    coming = endpoint.change.variants if endpoint.change is not None else None
    placed = [variant.placed for variant in (*endpoint.variants, *(coming or ()))]
    return sum((per_hour(kind) * count for one in placed for kind, count in one.items()), 0.0)
