"""moto's EC2, mended once per process: what AWS does otherwise, where a driver relies on it.

`ec2-api-idempotency.html` and `errors-overview.html` of the EC2 developer guide are the sources for tokens and codes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, cast

from moto.ec2 import utils
from moto.ec2.exceptions import EC2ClientError, InvalidInstanceIdError
from moto.ec2.models import EC2Backend
from moto.ec2.models.instances import Instance
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.ec2.responses.general import General
from moto.ec2.responses.launch_templates import LaunchTemplates

from infra.localaws.ec2 import images, supplies
from infra.localaws.ec2.world import Bound, World

_original_run: Callable[..., Any] = EC2Backend.run_instances
_original_reservations: Callable[..., Any] = EC2Backend.all_reservations
_original_delete_group: Callable[..., Any] = EC2Backend.delete_security_group
_original_version: Callable[..., Any] = LaunchTemplates.create_launch_template_version
terminate_at_once: Callable[[Any], Any] = Instance.terminate

_EC2, _INSTANCE, _TEMPLATE = cast(Any, EC2Backend), cast(Any, Instance), cast(Any, LaunchTemplate)
_GENERAL, _TEMPLATES = cast(Any, General), cast(Any, LaunchTemplates)
_FROM_TEMPLATE = {
    "MetadataOptions": "metadata_options",
    "InstanceInitiatedShutdownBehavior": "instance_initiated_shutdown_behavior",
}
_world: World | None = None


def install(world: World) -> None:
    """From now on moto's EC2 is this world's."""
    global _world
    _world = world
    _EC2.run_instances = run_instances
    _EC2.all_reservations = all_reservations
    _EC2.delete_security_group = delete_security_group
    _EC2.describe_images = images.describe_images
    _INSTANCE.terminate = terminate
    _INSTANCE.instance_status = property(_status)
    _GENERAL.get_console_output = get_console_output
    _TEMPLATES.create_launch_template_version = create_launch_template_version
    _TEMPLATES.describe_launch_templates = describe_launch_templates
    _TEMPLATE.tags = property(lambda self: self.get_tags(), lambda self, value: None)
    utils.filter_dict_attribute_mapping["client-token"] = "client_token"
    images.install()


def world() -> World:
    assert _world is not None
    return _world


def run_instances(
    backend: Any, image_id: str, count: int, user_data: Any, security_group_names: Any, **given: Any
) -> Any:
    """Tokens, capacity and quotas; and a template is used as a whole, where moto takes only some of it."""
    token = given.get("client_token")
    if token in (None, "ABCDE"):  # what moto takes for none
        return _run_anew(backend, image_id, count, user_data, security_group_names, given)
    key, request = (backend.region_name, token), repr((image_id, count, security_group_names, sorted(given.items())))
    bound = world().tokens.get(key)
    if bound is None:
        made = _run_anew(backend, image_id, count, user_data, security_group_names, given)
        world().tokens[key] = Bound(request, made)
        return made
    if bound.request != request:
        raise EC2ClientError(
            "IdempotentParameterMismatch",
            "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
        )
    if all(instance.state in ("shutting-down", "terminated") for instance in bound.reservation.instances):
        raise EC2ClientError(
            "IdempotentInstanceTerminated",
            "The client token you have provided is associated with a resource that is already deleted. "
            "Please use a different client token.",
        )
    return bound.reservation


def _run_anew(backend: Any, image_id: str, count: int, user_data: Any, names: Any, given: dict[str, Any]) -> Any:
    template = given.get("launch_template")
    data = backend._get_template_from_args(template).data if template else {}
    for key, name in _FROM_TEMPLATE.items():
        given[name] = given.get(name) or data.get(key)
    given["metadata_options"] = given["metadata_options"] or {}
    if given["metadata_options"].get("InstanceMetadataTags") == "enabled":
        _check_tag_keys(given.get("tags", {}).get("instance", {}))
    if not given.get("nics") and data.get("NetworkInterfaces"):
        subnet = given.pop("subnet_id", None)
        given["nics"] = [dict(one) | ({"SubnetId": subnet} if subnet else {}) for one in data["NetworkInterfaces"]]
    subnet_ids = [nic["SubnetId"] for nic in given.get("nics", ()) if nic.get("SubnetId")]
    subnet_ids += [given["subnet_id"]] if given.get("subnet_id") else []
    zone = backend.get_subnet(subnet_ids[0]).availability_zone if subnet_ids else given.get("placement") or ""
    spot = bool(given.get("instance_market_options"))
    supplies.check(world(), given.get("instance_type", ""), zone, spot, count)
    profile = data.get("IamInstanceProfile")
    if profile:
        _check_profile(backend, profile)
    made = _original_run(backend, image_id, count, user_data, names, **given)
    for instance in made.instances:
        if profile:
            backend.associate_iam_instance_profile(
                instance_id=instance.id,
                iam_instance_profile_name=profile.get("Name"),
                iam_instance_profile_arn=profile.get("Arn"),
            )
        world().begin(instance)
    return made


def _check_tag_keys(keys: Iterable[str]) -> None:
    """`work-with-tags-in-IMDS.html`: such a launch fails. The words are ours."""
    for key in keys:
        if not re.fullmatch(r"[0-9A-Za-z\-_+=,.@:]{1,255}", key) or key in (".", "..", "_index"):
            raise EC2ClientError("InvalidParameterValue", f"'{key}' is not a valid tag key for instance metadata")


def _check_profile(backend: Any, profile: dict[str, str]) -> None:
    from moto.iam.models import iam_backends

    known = iam_backends[backend.account_id][backend.partition].instance_profiles.values()
    if not any(one.name == profile.get("Name") or one.arn == profile.get("Arn") for one in known):
        said = profile.get("Name") or profile.get("Arn")
        what = "Name" if "Name" in profile else "ARN"
        raise EC2ClientError(
            "InvalidParameterValue",
            f"Value ({said}) for parameter iamInstanceProfile.{what.lower()} is invalid. "
            f"Invalid IAM Instance Profile {what}",
        )


def all_reservations(backend: Any, filters: Any = None) -> Any:
    """Without what cannot be seen yet."""
    found = _original_reservations(backend)
    for reservation in found:
        reservation.instances = [one for one in reservation.instances if not world().is_hidden(one)]
    found = [reservation for reservation in found if reservation.instances]
    return utils.filter_reservations(found, filters) if filters is not None else found


def terminate(instance: Any) -> Any:
    """It takes its time; asked again, nothing changes."""
    import copy

    before = copy.copy(instance._state)
    if world().is_hidden(instance):
        raise InvalidInstanceIdError(instance.id)
    if instance.state not in ("shutting-down", "terminated"):
        world().end(instance, "Client.UserInitiatedShutdown", "User initiated shutdown")
    return before


def delete_security_group(backend: Any, name: str | None = None, group_id: str | None = None) -> None:
    users = [
        instance.id
        for instance in world().instances()
        if instance.state != "terminated"
        for interface in instance.nics.values()
        if any(group.id == group_id for group in interface.group_set)
    ]
    if users or group_id in supplies.groups_of_balancers(world()):
        raise EC2ClientError("DependencyViolation", f"resource {group_id} has a dependent object")
    _original_delete_group(backend, name, group_id)


def get_console_output(response: Any) -> Any:
    from moto.core.responses import ActionResult
    from moto.core.types import Base64EncodedString

    instance = response.ec2_backend.get_instance(response._get_param("InstanceId"))
    text = Base64EncodedString.from_raw_string(world().machines.console(instance.id))
    return ActionResult({"InstanceId": instance.id, "Timestamp": world().now(), "Output": text})


def describe_launch_templates(response: Any) -> Any:
    """In pages: moto cuts off what does not fit into the first."""
    given = response._get_param
    size, start = response._get_int_param("MaxResults", 200), int(given("NextToken") or 0)
    found = response.ec2_backend.describe_launch_templates(
        template_names=given("LaunchTemplateNames", []),
        template_ids=given("LaunchTemplateIds", []),
        filters=response._filters_from_querystring(),
    )
    from moto.core.responses import ActionResult

    shown = [
        {
            "CreateTime": one.create_time,
            "CreatedBy": "arn:aws:iam::123456789012:root",
            "DefaultVersionNumber": one.default_version_number,
            "LatestVersionNumber": one.latest_version_number,
            "LaunchTemplateId": one.id,
            "LaunchTemplateName": one.name,
            "Tags": one.tags,
        }
        for one in found[start : start + size]
    ]
    rest = {"NextToken": str(start + size)} if start + size < len(found) else {}
    return ActionResult({"LaunchTemplates": shown, **rest})


def create_launch_template_version(response: Any) -> Any:
    """With all that the source version says and the new one does not, where one is named."""
    source = response._get_param("SourceVersion")
    made = _original_version(response)
    template = response.ec2_backend.describe_launch_templates(
        template_names=[response._get_param("LaunchTemplateName")] if response._get_param("LaunchTemplateName") else [],
        template_ids=[response._get_param("LaunchTemplateId")] if response._get_param("LaunchTemplateId") else [],
    )[0]
    if source:
        newest = template.versions[-1]
        newest.data = template.get_version(source).data | newest.data
        newest.instance_tags = utils.convert_tag_spec(newest.data.get("TagSpecifications", [])).get("instance", {})
    return made


def _status(instance: Any) -> dict[str, Any]:
    if instance.state_code != 16:
        return {"Status": "not-applicable"}
    well = instance.id not in world().impaired
    detail = {"Name": "reachability", "Status": "passed" if well else "failed"}
    return {"Details": [detail], "Status": "ok" if well else "impaired"}
