"""Auto Scaling and load balancers as this driver needs them: thin calls, values back, errors translated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from drivers.aws.ec2.expiry import text_of
from drivers.aws.ec2.platform import Platform
from drivers.aws.errors import code_of, edge, says
from drivers.aws.tags import as_mapping

_TAGGED = 20
"""Things whose tags one call tells."""


class FleetGroup(NamedTuple):
    """One Auto Scaling group."""

    most: int
    """How many machines it may have."""
    is_going: bool
    tags: Mapping[str, str]


class Balancer(NamedTuple):
    """One load balancer."""

    arn: str
    address: str


class FleetPlatform:
    """The same place as `platform`, two more services."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    @property
    def _scaling(self) -> Any:
        return self._platform.client("autoscaling")

    @property
    def _balancing(self) -> Any:
        return self._platform.client("elbv2")

    # -- the group ----------------------------------------------------------------------------------------------------

    def group(self, name: str) -> FleetGroup | None:
        with edge(f"looking at the Auto Scaling group {name}"):
            answer = self._scaling.reads.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        return next(map(_group, answer["AutoScalingGroups"]), None)

    def groups(self, *filters: Mapping[str, Any]) -> tuple[FleetGroup, ...]:
        """All that the filters leave."""
        with edge("listing Auto Scaling groups"):
            pages = self._scaling.reads.get_paginator("describe_auto_scaling_groups")
            found = pages.paginate(Filters=list(filters), PaginationConfig={"PageSize": 100})
            return tuple(_group(one) for page in found for one in page["AutoScalingGroups"])

    def create_group(self, **request: Any) -> bool:
        """False where there is one of this name."""
        with edge(f"making the Auto Scaling group {request['AutoScalingGroupName']}", changes=True):
            try:
                self._scaling.calls.create_auto_scaling_group(**request)
            except Exception as error:
                if code_of(error) in ("AlreadyExists", "AlreadyExistsFault"):
                    return False
                raise
        return True

    def resize_group(self, name: str, number: int) -> None:
        with edge(f"asking for the machines of {name}", changes=True):
            self._scaling.calls.update_auto_scaling_group(
                AutoScalingGroupName=name, MinSize=number, MaxSize=number, DesiredCapacity=number
            )

    def ending(self, group: str, name: str) -> str:
        """When the scheduled action will take place that ends a group; empty where none is scheduled."""
        with edge(f"looking at what is scheduled for {group}"):
            found = self._scaling.reads.describe_scheduled_actions(
                AutoScalingGroupName=group, ScheduledActionNames=[name]
            )["ScheduledUpdateGroupActions"]
        return next((text_of(one["StartTime"]) for one in found), "")

    def schedule_ending(self, group: str, name: str, moment: datetime) -> None:
        """Let the group have no machine from that moment on; moves the moment of an action of this name."""
        with edge(f"scheduling the end of {group}", changes=True):
            self._scaling.calls.put_scheduled_update_group_action(
                AutoScalingGroupName=group,
                ScheduledActionName=name,
                StartTime=moment,
                MinSize=0,
                MaxSize=0,
                DesiredCapacity=0,
            )

    def cancel_ending(self, group: str, name: str) -> None:
        with edge(f"cancelling the end of {group}", changes=True):
            try:
                self._scaling.calls.delete_scheduled_action(AutoScalingGroupName=group, ScheduledActionName=name)
            except Exception as error:
                if not says(error, "not found"):
                    raise

    def delete_group(self, name: str) -> None:
        with edge(f"deleting the Auto Scaling group {name}", changes=True):
            self._scaling.calls.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)

    def last_failure(self, name: str) -> str:
        """What AWS said when it could not start a machine of the group; empty where it could."""
        with edge(f"looking at the activities of {name}"):
            answer = self._scaling.reads.describe_scaling_activities(AutoScalingGroupName=name, MaxRecords=5)
        newest: Mapping[str, Any] = next(iter(answer["Activities"]), {})
        return str(newest.get("StatusMessage") or "") if newest.get("StatusCode") == "Failed" else ""

    # -- the load balancer --------------------------------------------------------------------------------------------

    def balancer(self, name: str) -> Balancer | None:
        with edge(f"looking at the load balancer {name}"):
            try:
                answer = self._balancing.reads.describe_load_balancers(Names=[name])
            except Exception as error:
                if code_of(error) == "LoadBalancerNotFound":
                    return None
                raise
        return next((_balancer(one) for one in answer["LoadBalancers"]), None)

    def create_balancer(self, **request: Any) -> Balancer:
        """AWS answers a second time with the first one, as long as the request is the same."""
        with edge(f"making the load balancer {request['Name']}", changes=True):
            (made,) = self._balancing.calls.create_load_balancer(**request)["LoadBalancers"]
        return _balancer(made)

    def delete_balancer(self, arn: str) -> None:
        with edge("deleting the load balancer", changes=True):
            self._balancing.calls.delete_load_balancer(LoadBalancerArn=arn)

    def target_group(self, name: str) -> str | None:
        """Its ARN."""
        with edge(f"looking at the target group {name}"):
            try:
                answer = self._balancing.reads.describe_target_groups(Names=[name])
            except Exception as error:
                if code_of(error) == "TargetGroupNotFound":
                    return None
                raise
        return next((str(one["TargetGroupArn"]) for one in answer["TargetGroups"]), None)

    def create_target_group(self, **request: Any) -> str:
        with edge(f"making the target group {request['Name']}", changes=True):
            (made,) = self._balancing.calls.create_target_group(**request)["TargetGroups"]
        return str(made["TargetGroupArn"])

    def delete_target_group(self, arn: str) -> bool:
        """False while something still uses it."""
        with edge("deleting the target group", changes=True):
            try:
                self._balancing.calls.delete_target_group(TargetGroupArn=arn)
            except Exception as error:
                if code_of(error) in ("ResourceInUse", "TargetGroupNotFound"):
                    return code_of(error) == "TargetGroupNotFound"
                raise
        return True

    def has_listener(self, balancer: str) -> bool:
        with edge("looking at the load balancer's listeners"):
            return bool(self._balancing.reads.describe_listeners(LoadBalancerArn=balancer)["Listeners"])

    def create_listener(self, **request: Any) -> None:
        with edge("making the load balancer listen", changes=True):
            try:
                self._balancing.calls.create_listener(**request)
            except Exception as error:
                if code_of(error) != "DuplicateListener":
                    raise

    def tags_of_balancers(self, prefix: str) -> Iterator[Mapping[str, str]]:
        """The tags of all load balancers and target groups whose names begin so: no listing can be asked for tags."""
        for call, kind, name, arn in (
            ("describe_load_balancers", "LoadBalancers", "LoadBalancerName", "LoadBalancerArn"),
            ("describe_target_groups", "TargetGroups", "TargetGroupName", "TargetGroupArn"),
        ):
            with edge("listing load balancers"):
                pages = self._balancing.reads.get_paginator(call).paginate(PaginationConfig={"PageSize": 400})
                arns = [one[arn] for page in pages for one in page[kind] if one[name].startswith(prefix)]
            for start in range(0, len(arns), _TAGGED):
                yield from self.tags(arns[start : start + _TAGGED]).values()

    def tags(self, arns: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        with edge("reading tags"):
            answer = self._balancing.reads.describe_tags(ResourceArns=list(arns))
        return {one["ResourceArn"]: as_mapping(one["Tags"]) for one in answer["TagDescriptions"]}


def _group(said: Mapping[str, Any]) -> FleetGroup:
    return FleetGroup(said["MaxSize"], bool(said.get("Status")), as_mapping(said.get("Tags")))


def _balancer(said: Mapping[str, Any]) -> Balancer:
    return Balancer(said["LoadBalancerArn"], said["DNSName"])
