"""Auto Scaling groups that start the machines they are to have, and load balancers that hand requests on to them.

moto starts a group's machines all in one zone, of the first type, from the template's first version, and keeps nothing
between a failure and the next attempt; its load balancers answer nowhere, and two may have one name.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.elbv2.exceptions import DuplicateLoadBalancerName
from moto.elbv2.models import ELBv2Backend

from infra.localaws.ec2.listeners import free_address
from infra.localaws.ec2.machines import PORT
from infra.localaws.http import Answer, Dropped, Request

if TYPE_CHECKING:
    from infra.localaws.ec2.world import World

_GROUP, _BALANCING, _SCALING = cast(Any, FakeAutoScalingGroup), cast(Any, ELBv2Backend), cast(Any, AutoScalingBackend)
_original_create: Callable[..., Any] = ELBv2Backend.create_load_balancer
_original_delete: Callable[..., Any] = ELBv2Backend.delete_load_balancer
_original_delete_group: Callable[..., Any] = AutoScalingBackend.delete_auto_scaling_group
_original_schedule: Callable[..., Any] = AutoScalingBackend.put_scheduled_update_group_action
_world: World | None = None
_turns = itertools.count()


def install(world: World) -> None:
    """From now on groups and load balancers are this world's."""
    global _world
    _world = world
    _GROUP.replace_autoscaling_group_instances = start_machines
    _SCALING.update_attached_target_groups = attach_targets
    _BALANCING.create_load_balancer = create_load_balancer
    _BALANCING.delete_load_balancer = delete_load_balancer
    _SCALING.update_auto_scaling_group = update_group
    _SCALING.delete_auto_scaling_group = delete_group
    _SCALING.put_scheduled_update_group_action = schedule
    cast(Any, AutoScalingResponse).describe_scaling_activities = describe_scaling_activities


def world() -> World:
    assert _world is not None
    return _world


def start_machines(group: Any, count_needed: int, propagated_tags: dict[str, str]) -> None:
    """As many as there is capacity for; the types in their order, the zones in turn."""
    tags = propagated_tags | {"aws:autoscaling:groupName": group.name}
    for _ in range(count_needed):
        failure = ""
        for way in _ways(group):
            try:
                made = group.ec2_backend.run_instances("", 1, None, [], tags={"instance": tags}, **way)
            except EC2ClientError as error:
                failure = f"{error.message} Launching EC2 instance failed."
                continue
            for instance in made.instances:
                instance.autoscaling_group = group
                group.instance_states.append(InstanceState(instance))
            failure = ""
            break
        if failure:
            world().failures[group.name] = failure
            return
    world().failures.pop(group.name, None)


def settle(world: World) -> None:
    """Groups let go of machines that ended, and start others."""
    for _, backend in world.around.moto.backends("autoscaling"):
        _run_scheduled(backend, world.now())
        for group in tuple(backend.autoscaling_groups.values()):
            alive = [one for one in group.instance_states if one.instance.state in ("pending", "running")]
            group.instance_states = alive
            start_machines(group, (group.desired_capacity or 0) - len(alive), group.get_propagated_tags())
            attach_targets(backend, group.name)


def update_group(backend: Any, name: str, *given: Any, **named: Any) -> Any:
    """Only its sizes: moto would forget the rest."""
    group = _group(backend, name)
    _resize(group, named["min_size"], named["max_size"], named["desired_capacity"])
    return group


def delete_group(backend: Any, group_name: str) -> None:
    """With what is scheduled for it."""
    _original_delete_group(backend, group_name)
    for name, action in tuple(backend.scheduled_actions.items()):
        if action.auto_scaling_group_name == group_name:
            del backend.scheduled_actions[name]


def schedule(backend: Any, name: str, *given: Any, **named: Any) -> Any:
    """For a group that is there, in the future. The words are ours."""
    _group(backend, name)
    if _moment(named["start_time"]) <= world().now():
        raise ValidationError("the given start time is in the past")
    return _original_schedule(backend, name, *given, **named)


def _run_scheduled(backend: Any, now: datetime) -> None:
    """What is due takes place once, and is gone."""
    for name, action in tuple(backend.scheduled_actions.items()):
        if _moment(action.start_time) <= now:
            del backend.scheduled_actions[name]
            group = _group(backend, action.auto_scaling_group_name)
            _resize(group, action.min_size, action.max_size, action.desired_capacity)


def _group(backend: Any, name: str) -> Any:
    if name not in backend.autoscaling_groups:
        raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    return backend.autoscaling_groups[name]


def _resize(group: Any, least: int | None, most: int | None, number: int | None) -> None:
    group.min_size = group.min_size if least is None else least
    group.max_size = group.max_size if most is None else most
    if number is not None:
        group.set_desired_capacity(number)


def _moment(given: datetime) -> datetime:
    return given if given.tzinfo is not None else given.replace(tzinfo=UTC)


def attach_targets(backend: Any, name: str) -> None:
    """Those machines of a group that run are the targets of its target groups."""
    group = backend.autoscaling_groups[name]
    running = {one.instance.id for one in group.instance_states if one.instance.state == "running"}
    for arn in group.target_group_arns:
        targets = backend.elbv2_backend.target_groups.get(arn)
        if targets is not None:
            targets.targets = {id: {"Id": id, "Port": targets.port} for id in running}


def describe_scaling_activities(response: Any) -> Any:
    """The newest activity of a group, as far as it is a failure."""
    name = response._get_param("AutoScalingGroupName")
    failure = world().failures.get(name or "")
    if failure is None:
        return ActionResult({"Activities": []})
    return ActionResult(
        {
            "Activities": [
                {
                    "ActivityId": "1",
                    "AutoScalingGroupName": name,
                    "Cause": "a machine is missing",
                    "StartTime": world().now(),
                    "StatusCode": "Failed",
                    "StatusMessage": failure,
                    "Progress": 100,
                }
            ]
        }
    )


def create_load_balancer(backend: Any, name: str, *given: Any, **named: Any) -> Any:
    """At an address of this computer. The same request again is answered with what is there."""
    for there in backend.load_balancers.values():
        if there.name == name:
            if there.said != repr((given, sorted(named.items()))):
                raise DuplicateLoadBalancerName()
            return there
    made = _original_create(backend, name, *given, **named)
    made.said = repr((given, sorted(named.items())))
    made.dns_name = free_address(PORT)
    made.state = "active"
    world().machines.open(made.dns_name, lambda request: _hand_on(backend, made, request))
    return made


def delete_load_balancer(backend: Any, arn: str) -> None:
    balancer = backend.load_balancers.get(arn)
    if balancer is not None:
        world().machines.close(balancer.dns_name)
    _original_delete(backend, arn)


def _hand_on(backend: Any, balancer: Any, request: Request) -> Answer:
    """To one machine after the other of those that run. With none the connection ends, as it does at AWS's."""
    running = [id for id in _targets(backend, balancer) if id in world().machines.booted]
    if not running:
        raise Dropped
    return world().machines.answer(running[next(_turns) % len(running)], request)


def _targets(backend: Any, balancer: Any) -> Iterator[str]:
    arns = {
        action.data["TargetGroupArn"]
        for listener in balancer.listeners.values()
        for action in listener.default_actions
        if "TargetGroupArn" in action.data
    }
    for arn in sorted(arns):
        group = backend.target_groups.get(arn)
        yield from sorted(target["Id"] for target in group.targets.values()) if group is not None else ()


def _ways(group: Any) -> Iterator[dict[str, Any]]:
    policy = group.mixed_instances_policy or {}
    launch = policy.get("LaunchTemplate", {})
    spec = launch.get("LaunchTemplateSpecification") or group.launch_template or {}
    template = {"LaunchTemplateId": spec["LaunchTemplateId"], "Version": spec.get("Version") or "$Default"}
    types = [one["InstanceType"] for one in launch.get("Overrides", ())] or [group.instance_type]
    spot = str(policy.get("InstancesDistribution", {}).get("OnDemandPercentageAboveBaseCapacity", 100)) == "0"
    subnets = (group.vpc_zone_identifier or "").split(",")
    start = len(group.instance_states) % len(subnets)
    for kind, subnet in itertools.product(types, subnets[start:] + subnets[:start]):
        yield {
            "instance_type": kind,
            "is_instance_type_default": False,
            "subnet_id": subnet,
            "launch_template": template,
            "region_name": group.ec2_backend.region_name,
            "instance_market_options": "spot" if spot else {},
        }
