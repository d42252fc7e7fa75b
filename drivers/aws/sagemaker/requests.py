"""What is sent to SageMaker to make or change a deployment: requests as values. Pure; the names are the tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from drivers.aws.sagemaker import names
from drivers.aws.sagemaker.alarms import errors_name
from drivers.aws.sagemaker.containers import AMI, environment, image
from drivers.aws.sagemaker.ground import Ground
from drivers.aws.sagemaker.instances import gpus, has_own_disk, instance_types, is_gpu
from drivers.aws.sagemaker.options import PLATFORM, is_elastic, is_scaled, replicas
from drivers.aws.serving import serving
from drivers.aws.settings import AwsSettings
from drivers.aws.tags import as_list, tags_of
from drivers.base import Deployment, ModelSpec
from drivers.errors import Denied
from drivers.values import boolean, duration, size

Request = Mapping[str, Any]
LEAST_STARTUP_S, MOST_STARTUP_S = 60, 3600
DEFAULT_STARTUP_S = 1800
BAKE_S = 300
"""For how long a new fleet is watched before old instances go, in all. The alarm needs two minutes of three, and
CloudWatch has them a minute or two later."""
BAKE_SHARE = 4
"""Of `cloud.startup-timeout`, watching takes a quarter at most: so long a reconciler waits for all of an update."""
LEAST_BAKE_S = 60
LEAST_UPDATE_S, MOST_UPDATE_S = 600, 28_800
PROVISION_S = 900
"""How long a variant looks for instances of its preferred type before it takes the next pool."""


class Parts(NamedTuple):
    """The calls that make one deployment, in their order."""

    model: Request
    config: Request
    endpoint: Request


def parts(deployment: Deployment, revision: str, settings: AwsSettings, ground: Ground) -> Parts:
    """Everything to create. Raises Rejected for a spec that cannot be, Denied where the settings lack a role."""
    role = settings.entry("roles", "cloud.role", deployment.spec)
    if role is None:
        raise Denied("SageMaker needs a role for the endpoint: give its ARN under aws.roles.default in the settings")
    tags = tags_of(deployment)
    return Parts(
        model=_model(deployment.spec, revision, settings, ground, role) | {"Tags": as_list(tags)},
        config=_config(deployment, revision, settings, ground, role) | {"Tags": as_list(tags)},
        endpoint={
            "EndpointName": deployment.name,
            "EndpointConfigName": revision,
            "Tags": as_list(endpoint_tags(deployment, revision, settled=not is_scaled(deployment.spec))),
        },
    )


def endpoint_tags(deployment: Deployment, revision: str, *, settled: bool) -> dict[str, str]:
    """The tags of the endpoint; `settled` when nothing of what the spec asks for is left to do."""
    own = {names.REVISION: revision} | ({names.SETTLED: deployment.spec.digest} if settled else {})
    return tags_of(deployment) | own


def update(deployment: Deployment, revision: str) -> Request:
    """Bring the endpoint to a configuration, and back where its alarm rings. The number of instances stays as it is: it
    is changed by itself."""
    guard = {"Alarms": [{"AlarmName": errors_name(revision)}]}
    return {
        "EndpointName": deployment.name,
        "EndpointConfigName": revision,
        "RetainAllVariantProperties": True,
        "DeploymentConfig": _policy(deployment.spec) | {"AutoRollbackConfiguration": guard},
    }


def count(deployment: Deployment, instances: int) -> Request:
    """As many instances, of the configuration that is there."""
    wanted = {"VariantName": names.VARIANT, "DesiredInstanceCount": instances}
    return {"EndpointName": deployment.name, "DesiredWeightsAndCapacities": [wanted]}


def _model(spec: ModelSpec, revision: str, settings: AwsSettings, ground: Ground, role: str) -> dict[str, Any]:
    told, first = serving(spec, PLATFORM), instance_types(spec)[0]
    container: dict[str, Any] = {
        "Image": image(spec, told.engine, first, ground.region),
        "Environment": dict(environment(told, first)),
    }
    if told.from_s3:
        container["ModelDataSource"] = {"S3DataSource": _weights(spec, told.from_s3)}
    request: dict[str, Any] = {"ModelName": revision, "ExecutionRoleArn": role, "PrimaryContainer": container}
    groups = settings.entries("security_groups", "cloud.security-groups", spec)
    if ground.subnets and groups:
        request["VpcConfig"] = {"Subnets": list(ground.subnets), "SecurityGroupIds": list(groups)}
    elif any(key in spec.options for key in ("cloud.network", "cloud.subnets", "cloud.security-groups", "cloud.zones")):
        raise Denied(
            "an endpoint in a network needs subnets and security groups: give both in the settings (aws.subnets)"
        )
    return request


def _weights(spec: ModelSpec, uri: str) -> dict[str, Any]:
    is_file = uri.endswith((".gguf", ".tar.gz"))
    found: dict[str, Any] = {
        "S3Uri": uri if is_file or uri.endswith("/") else f"{uri}/",
        "S3DataType": "S3Object" if is_file else "S3Prefix",
        "CompressionType": "Gzip" if uri.endswith(".tar.gz") else "None",
    }
    if boolean(spec.options.get("cloud.accept-eula", "false")):
        found["ModelAccessConfig"] = {"AcceptEula": True}
    return found


def _config(deployment: Deployment, revision: str, settings: AwsSettings, ground: Ground, role: str) -> dict[str, Any]:
    spec = deployment.spec
    variant = {"VariantName": names.VARIANT} | _machines(spec, settings)
    request: dict[str, Any] = {"EndpointConfigName": revision, "ProductionVariants": [variant]}
    key = settings.entry("kms_keys", "cloud.kms-key", spec)
    if key is not None and not any(has_own_disk(each) for each in instance_types(spec)):
        request["KmsKeyId"] = key
    if "cloud.reservation" in spec.options:
        variant["CapacityReservationConfig"] = {
            "CapacityReservationPreference": "capacity-reservations-only",
            "MlReservationArn": ground.arn(f"training-plan/{spec.options['cloud.reservation']}"),
        }
    if is_elastic(spec):
        request["ExecutionRoleArn"] = role
        variant["ManagedInstanceScaling"] = {
            "Status": "ENABLED",
            "MinInstanceCount": 0,
            "MaxInstanceCount": settings.max_replicas,  # as many as there are copies, which are bounded
        }
        variant["RoutingConfig"] = {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}
    else:
        variant |= {"ModelName": revision, "InitialVariantWeight": 1.0} | startup(spec)
    return request


def _machines(spec: ModelSpec, settings: AwsSettings) -> dict[str, Any]:
    types, counted = instance_types(spec), replicas(spec)
    found: dict[str, Any] = {"InitialInstanceCount": max(1, int(counted.low))}
    if len(types) == 1:
        found["InstanceType"] = types[0]
    else:
        found["InstancePools"] = [{"InstanceType": each, "Priority": at} for at, each in enumerate(types, 1)]
        found["VariantInstanceProvisionTimeoutInSeconds"] = PROVISION_S
    if is_gpu(types[0]):
        found["InferenceAmiVersion"] = spec.options.get("aws.inference-ami-version", AMI)
    if "cloud.disk-size" in spec.options and not any(has_own_disk(each) for each in types):
        found["VolumeSizeInGB"] = max(1, -(-size(spec.options["cloud.disk-size"]) // 10**9))
    return found


def startup(spec: ModelSpec) -> dict[str, int]:
    """How long the container may take to come up, and its weights to arrive, in seconds."""
    patience = _patience_s(spec)
    return {
        "ModelDataDownloadTimeoutInSeconds": patience,
        "ContainerStartupHealthCheckTimeoutInSeconds": patience,
    }


def _patience_s(spec: ModelSpec) -> int:
    asked = duration(spec.options.get("cloud.startup-timeout", "off"))
    return min(MOST_STARTUP_S, max(LEAST_STARTUP_S, asked or DEFAULT_STARTUP_S))


def _policy(spec: ModelSpec) -> dict[str, Any]:
    """Instances are exchanged a part at a time, which needs little more of a scarce GPU than there is. A single one is
    exchanged as a whole, the new one first: there is no part of it."""
    low = int(replicas(spec).low)
    if low > 1 and spec.options.get("aws.update-policy", "rolling") == "rolling":
        percent = 50 if low < 4 else 25
        batch, limit = {"Type": "CAPACITY_PERCENT", "Value": percent}, _longest_s(spec, 100 // percent)
        # What the first part does wrong still shows while the second one is watched.
        part_s = max(LEAST_BAKE_S, _bake_s(spec) * percent // 100)
        wait = {"WaitIntervalInSeconds": part_s, "MaximumExecutionTimeoutInSeconds": limit}
        return {"RollingUpdatePolicy": {"MaximumBatchSize": batch, **wait}}
    routing, limit = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}, _longest_s(spec, 1)
    wait = {"TerminationWaitInSeconds": _bake_s(spec), "MaximumExecutionTimeoutInSeconds": limit}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **wait}}


def _bake_s(spec: ModelSpec) -> int:
    return max(LEAST_BAKE_S, min(BAKE_S, _patience_s(spec) // BAKE_SHARE))


def _longest_s(spec: ModelSpec, steps: int) -> int:
    """What an update may take before AWS gives it up: every step finds instances, starts them, and is watched."""
    each_s = PROVISION_S + sum(startup(spec).values()) + BAKE_S
    return min(MOST_UPDATE_S, max(LEAST_UPDATE_S, steps * each_s))


def component(deployment: Deployment, revision: str) -> Request:
    """The inference component: this model, as many copies as there are instances for, one copy to an instance."""
    return {
        "InferenceComponentName": deployment.name,
        "EndpointName": deployment.name,
        "VariantName": names.VARIANT,
        "Specification": specification(deployment.spec, revision),
        "RuntimeConfig": {"CopyCount": 1},
        "Tags": as_list(tags_of(deployment)),
    }


def specification(spec: ModelSpec, revision: str) -> dict[str, Any]:
    """One copy takes all GPUs of an instance, so that an instance without a copy is one without work."""
    first = instance_types(spec)[0]
    found = gpus(first)
    needs: dict[str, Any] = {"MinMemoryRequiredInMb": 1024}
    if found is not None:
        needs["NumberOfAcceleratorDevicesRequired"] = found.number
    else:
        needs["NumberOfCpuCoresRequired"] = 1
    return {"ModelName": revision, "StartupParameters": startup(spec), "ComputeResourceRequirements": needs}
