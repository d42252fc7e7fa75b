"""What exists of a lineage in an account, counted without the drivers: from listings by name, which are not an index
and do not need our tags, and by tag where names say nothing. Kinds are called as in the books of the local cloud."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from drivers.aws.clients import Clients
from drivers.aws.ec2.names import ROOT
from drivers.aws.place import Place
from drivers.aws.tags import LINEAGE, as_mapping
from drivers.base import NOTHING
from drivers.naming import external_name

ALIVE = ["pending", "running", "shutting-down", "stopping", "stopped"]
_PREFIX = len("cmr-12345678-")


class Thing(NamedTuple):
    """One of them."""

    kind: str
    name: str
    tags: Mapping[str, str] = NOTHING


def prefix(lineage: str) -> str:
    """What the names of all of a lineage's deployments begin with."""
    return external_name(lineage, "m", "")[:_PREFIX]


class Census:
    """Of one place. `count` lists everything of a platform that is there."""

    def __init__(self, clients: Clients, place: Place) -> None:
        self._clients, self._place = clients, place

    def count(self, platform: str, lineage: str) -> tuple[Thing, ...]:
        ask = {"aws-ec2": self._ec2, "aws-sagemaker": self._sagemaker, "aws-bedrock": self._bedrock}[platform]
        return tuple(ask(lineage))

    def _ec2(self, lineage: str) -> Iterator[Thing]:
        ec2, begin = self._client("ec2"), prefix(lineage)
        ours = {"Name": f"tag:{LINEAGE}", "Values": [lineage]}
        states = {"Name": "instance-state-name", "Values": ALIVE}
        for page in ec2.get_paginator("describe_instances").paginate(Filters=[ours, states]):
            for one in (each for reservation in page["Reservations"] for each in reservation["Instances"]):
                yield Thing("instance", one["InstanceId"], as_mapping(one.get("Tags")))
        templates = {"Name": "launch-template-name", "Values": [f"{begin}*"]}
        for page in ec2.get_paginator("describe_launch_templates").paginate(Filters=[templates]):
            for one in page["LaunchTemplates"]:
                yield Thing("launch template", one["LaunchTemplateName"], as_mapping(one.get("Tags")))
        groups = {"Name": "group-name", "Values": [f"{begin}*"]}
        for page in ec2.get_paginator("describe_security_groups").paginate(Filters=[groups]):
            for one in page["SecurityGroups"]:
                yield Thing("security group", one["GroupName"], as_mapping(one.get("Tags")))
        path = f"{ROOT}/{lineage}"
        for page in self._client("ssm").get_paginator("get_parameters_by_path").paginate(Path=path, Recursive=True):
            for one in page["Parameters"]:
                yield Thing("parameter", one["Name"])
        yield from self._fleets(lineage)

    def _fleets(self, lineage: str) -> Iterator[Thing]:
        for page in self._client("autoscaling").get_paginator("describe_auto_scaling_groups").paginate():
            for one in page["AutoScalingGroups"]:
                tags = as_mapping(one.get("Tags"))
                if tags.get(LINEAGE) == lineage:
                    yield Thing("group", one["AutoScalingGroupName"], tags)
        client = self._client("elbv2")
        for kind, operation, key, arn in (
            ("load balancer", "describe_load_balancers", "LoadBalancers", "LoadBalancerArn"),
            ("target group", "describe_target_groups", "TargetGroups", "TargetGroupArn"),
        ):
            pages = client.get_paginator(operation).paginate()
            arns = [one[arn] for page in pages for one in page[key] if ":loadbalancer/app/" not in one[arn]]
            for start in range(0, len(arns), 20):
                said = client.describe_tags(ResourceArns=arns[start : start + 20])["TagDescriptions"]
                for one in said:
                    tags = as_mapping(one["Tags"])
                    if tags.get(LINEAGE) == lineage:
                        yield Thing(kind, one["ResourceArn"], tags)

    def _sagemaker(self, lineage: str) -> Iterator[Thing]:
        client, begin = self._client("sagemaker"), prefix(lineage)
        for kind, title in (
            ("endpoint", "Endpoint"), ("endpoint config", "EndpointConfig"), ("model", "Model"),
            ("inference component", "InferenceComponent"),
        ):  # fmt: skip
            pages = _pages(client, f"list_{kind.replace(' ', '_')}s", {"NameContains": begin, "MaxResults": 100})
            for one in (each for page in pages for each in page.get(f"{title}s", ())):
                if one[f"{title}Name"].startswith(begin):
                    yield Thing(kind, one[f"{title}Name"])
        scaling = self._client("application-autoscaling")
        for kind, operation, key in (
            ("scalable target", "describe_scalable_targets", "ScalableTargets"),
            ("policy", "describe_scaling_policies", "ScalingPolicies"),
        ):
            pages = _pages(scaling, operation, {"ServiceNamespace": "sagemaker"})
            for one in (each for page in pages for each in page.get(key, ())):
                if one["ResourceId"].partition("/")[2].startswith(begin):
                    yield Thing(kind, one.get("PolicyName", one["ResourceId"]))
        # Those that AWS makes for a policy are called otherwise, and go with it.
        for page in self._client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=begin):
            for one in page["MetricAlarms"]:
                yield Thing("alarm", one["AlarmName"])

    def _bedrock(self, lineage: str) -> Iterator[Thing]:
        client, begin = self._client("bedrock"), prefix(lineage)
        profiles = _pages(client, "list_inference_profiles", {"typeEquals": "APPLICATION"}, token="nextToken")
        throughputs = _pages(client, "list_provisioned_model_throughputs", {}, token="nextToken")
        models = _pages(client, "list_imported_models", {}, token="nextToken")
        for kind, pages, key, name in (
            ("profile", profiles, "inferenceProfileSummaries", "inferenceProfileName"),
            ("throughput", throughputs, "provisionedModelSummaries", "provisionedModelName"),
            ("imported model", models, "modelSummaries", "modelName"),
        ):
            for one in (each for page in pages for each in page.get(key, ())):
                if one[name].startswith(begin):
                    yield Thing(kind, one[name])

    def _client(self, service: str) -> Any:
        return self._clients(self._place, service).reads


def _pages(
    client: Any, operation: str, given: Mapping[str, Any], *, token: str = "NextToken"
) -> Iterator[Mapping[str, Any]]:
    """All answers; not every one of these operations has a paginator in the SDK."""
    request = dict(given)
    while True:
        said = getattr(client, operation)(**request)
        yield said
        if not said.get(token):
            return
        request[token] = said[token]
