"""EC2 as this driver needs it: thin calls, values back, errors translated. No decisions.

What does not exist comes back as None or an empty tuple, and only where AWS itself said so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drivers.aws.clients import Client, Clients
from drivers.aws.ec2.requests import Subnet
from drivers.aws.ec2.things import Group, Machine, Template, group_in, impaired_in, machines_in, templates_in
from drivers.aws.errors import code_of, edge, message_of
from drivers.aws.place import ACCOUNT, CREDENTIALS, REGION, Place
from drivers.aws.tags import DEPLOYMENT, LINEAGE, as_list
from drivers.base import Deployment
from drivers.errors import Denied

PAGE = 250
"""Machines in one answer: with all their tags a longer one takes more time than a call has."""


class Platform:
    """One place. Nothing is kept between two calls."""

    def __init__(self, clients: Clients, place: Place) -> None:
        self.clients, self.place = clients, place

    @property
    def region(self) -> str:
        return self.clients.region(self.place)

    @property
    def where(self) -> Mapping[str, str]:
        """The place, as a handle remembers it."""
        return {REGION: self.region, CREDENTIALS: self.place.credentials, ACCOUNT: self.clients.account(self.place)}

    def client(self, service: str) -> Client:
        return self.clients(self.place, service)

    # -- machines -----------------------------------------------------------------------------------------------------

    def machines(self, *filters: Mapping[str, Any]) -> tuple[Machine, ...]:
        """All that the filters leave."""
        with edge("listing EC2 instances"):
            pages = self.client("ec2").reads.get_paginator("describe_instances")
            found = pages.paginate(Filters=list(filters), PaginationConfig={"PageSize": PAGE})
            return tuple(machines_in(found))

    def machine(self, id: str) -> Machine | None:
        """One by its id."""
        with edge(f"looking at {id}"):
            try:
                answer = self.client("ec2").reads.describe_instances(InstanceIds=[id])
            except Exception as error:
                if code_of(error) in ("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"):
                    return None
                raise
        return next(machines_in((answer,)), None)

    def run(self, request: Mapping[str, Any]) -> Machine:
        """Start one. What SDK and AWS raise goes to the caller, who knows what each refusal means."""
        return next(machines_in(({"Reservations": [self.client("ec2").calls.run_instances(**request)]},)))

    def terminate(self, ids: Sequence[str]) -> None:
        with edge(f"terminating {', '.join(ids)}", changes=True):
            self.client("ec2").calls.terminate_instances(InstanceIds=list(ids))

    def impaired(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Those of the machines that fail AWS's own status checks, with the check."""
        if not ids:
            return {}
        with edge("reading status checks"):
            found: dict[str, str] = {}
            for start in range(0, len(ids), 100):
                answer = self.client("ec2").reads.describe_instance_status(InstanceIds=list(ids[start : start + 100]))
                found |= dict(impaired_in(answer["InstanceStatuses"]))
            return found

    # -- launch templates ---------------------------------------------------------------------------------------------

    def template(self, name: str) -> Template | None:
        with edge(f"looking at the launch template {name}"):
            try:
                answer = self.client("ec2").reads.describe_launch_templates(LaunchTemplateNames=[name])
            except Exception as error:
                if "NotFound" in code_of(error):
                    return None
                raise
        return next(templates_in((answer,)), None)

    def templates(self, lineage: str) -> tuple[Template, ...]:
        with edge("listing launch templates"):
            pages = self.client("ec2").reads.get_paginator("describe_launch_templates")
            found = pages.paginate(Filters=[tagged_with(LINEAGE, lineage)], PaginationConfig={"PageSize": 200})
            return tuple(templates_in(found))

    def create_template(self, **request: Any) -> Template | None:
        """None where one of this name is there already."""
        with edge(f"making the launch template {request['LaunchTemplateName']}", changes=True):
            try:
                answer = self.client("ec2").calls.create_launch_template(**request)
            except Exception as error:
                if code_of(error) == "InvalidLaunchTemplateName.AlreadyExistsException":
                    return None
                raise
        return next(templates_in(({"LaunchTemplates": [answer["LaunchTemplate"]]},)))

    def create_version(self, **request: Any) -> None:
        with edge(f"completing the launch template {request['LaunchTemplateName']}", changes=True):
            self.client("ec2").calls.create_launch_template_version(**request)

    def delete_template(self, name: str) -> None:
        with edge(f"deleting the launch template {name}", changes=True), absent_is_fine("NotFound"):
            self.client("ec2").calls.delete_launch_template(LaunchTemplateName=name)

    def tag(self, ids: Sequence[str], tags: Mapping[str, str]) -> None:
        with edge(f"marking {', '.join(ids)}", changes=True):
            self.client("ec2").calls.create_tags(Resources=list(ids), Tags=as_list(tags))

    def untag(self, id: str, keys: Sequence[str]) -> None:
        with edge(f"marking {id}", changes=True):
            self.client("ec2").calls.delete_tags(Resources=[id], Tags=[{"Key": key} for key in keys])

    # -- network ------------------------------------------------------------------------------------------------------

    def subnets(self, ids: Sequence[str], vpc: str | None) -> tuple[Subnet, ...]:
        """The named ones; without names the default ones of each zone, in the VPC where one is given."""
        request: dict[str, Any] = {"SubnetIds": list(ids)} if ids else {}
        filters = [{"Name": "vpc-id", "Values": [vpc]}] if vpc is not None else []
        if not ids and vpc is None:
            filters.append({"Name": "default-for-az", "Values": ["true"]})
        with edge("looking at the subnets"):
            try:
                answer = self.client("ec2").reads.describe_subnets(**request, Filters=filters)
            except Exception as error:
                if code_of(error).startswith("InvalidSubnetI"):
                    raise Denied(f"{message_of(error)}; see aws.subnets in the settings") from error
                raise
        found = (Subnet(one["SubnetId"], one["AvailabilityZone"], one["VpcId"]) for one in answer["Subnets"])
        return tuple(sorted(found, key=lambda one: ids.index(one.id)) if ids else sorted(found, key=lambda s: s.zone))

    def network_of(self, vpc: str) -> tuple[str, ...]:
        """The VPC's own address ranges."""
        with edge(f"looking at {vpc}"):
            (found,) = self.client("ec2").reads.describe_vpcs(VpcIds=[vpc])["Vpcs"]
        return tuple(one["CidrBlock"] for one in found.get("CidrBlockAssociationSet", ())) or (found["CidrBlock"],)

    def groups(self, *filters: Mapping[str, Any]) -> tuple[Group, ...]:
        """All security groups that the filters leave; of one name each VPC may have one."""
        with edge("looking at security groups"):
            pages = self.client("ec2").reads.get_paginator("describe_security_groups")
            found = pages.paginate(Filters=list(filters), PaginationConfig={"PageSize": PAGE})
            return tuple(group_in(one) for page in found for one in page["SecurityGroups"])

    def create_group(self, **request: Any) -> str | None:
        """Its id; None where the VPC has one of this name already."""
        with edge(f"making the security group {request['GroupName']}", changes=True):
            try:
                return str(self.client("ec2").calls.create_security_group(**request)["GroupId"])
            except Exception as error:
                if code_of(error) == "InvalidGroup.Duplicate":
                    return None
                raise

    def admit(self, group: str, permissions: Sequence[Mapping[str, Any]]) -> None:
        with (
            edge(f"letting clients into {group}", changes=True),
            absent_is_fine("InvalidPermission.Duplicate"),
        ):
            self.client("ec2").calls.authorize_security_group_ingress(GroupId=group, IpPermissions=list(permissions))

    def delete_group(self, id: str) -> bool:
        """False while something still uses it."""
        with edge(f"deleting the security group {id}", changes=True), absent_is_fine("InvalidGroup.NotFound"):
            try:
                self.client("ec2").calls.delete_security_group(GroupId=id)
            except Exception as error:
                if code_of(error) == "DependencyViolation":
                    return False
                raise
        return True

    # -- types and output ----------------------------------------------------------------------------------------

    def hardware(self, types: Sequence[str]) -> Mapping[str, tuple[int, int]]:
        """CPU cores and bytes of memory, by type."""
        with edge(f"looking at {', '.join(types)}"):
            answer = self.client("ec2").reads.describe_instance_types(InstanceTypes=list(types))
        return {
            one["InstanceType"]: (one["VCpuInfo"]["DefaultVCpus"], one["MemoryInfo"]["SizeInMiB"] << 20)
            for one in answer["InstanceTypes"]
        }

    def console(self, id: str) -> str:
        """What the machine wrote to its console; empty for one that is not there."""
        with edge(f"reading the console of {id}"):
            try:
                return str(self.client("ec2").reads.get_console_output(InstanceId=id, Latest=True).get("Output") or "")
            except Exception as error:
                if code_of(error).startswith("InvalidInstanceID"):
                    return ""
                raise


def tagged_with(key: str, *values: str) -> dict[str, Any]:
    """A filter."""
    return {"Name": f"tag:{key}", "Values": list(values)}


def named(group: str) -> dict[str, Any]:
    """A filter for security groups."""
    return {"Name": "group-name", "Values": [group]}


def of_deployment(deployment: Deployment) -> tuple[dict[str, Any], ...]:
    """The filters that leave what belongs to one deployment."""
    return tagged_with(DEPLOYMENT, deployment.id), tagged_with(LINEAGE, deployment.lineage)


class absent_is_fine:
    """Around the removal of something: that it is gone already is success."""

    def __init__(self, code: str) -> None:
        self._code = code

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        return isinstance(error, Exception) and self._code in code_of(error)
