"""Which options SageMaker honours, and what it makes of those that need more than the catalogue's word. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from drivers import manifest
from drivers.aws.sagemaker.containers import environment
from drivers.aws.sagemaker.instances import has_own_disk, instance_types, is_gpu
from drivers.aws.serving import is_embedding, serving
from drivers.aws.settings import AwsSettings
from drivers.base import Finding, Handling, ModelSpec
from drivers.errors import Rejected
from drivers.values import Range, boolean, duration, number, size, whole_range

PLATFORM = "aws-sagemaker"
IMPLEMENTED = frozenset(
    {
        "cloud.accelerator", "cloud.accelerator-memory", "cloud.accept-eula", "cloud.account", "cloud.auth",
        "cloud.autoscale-metric", "cloud.autoscale-target", "cloud.cpu", "cloud.credentials", "cloud.disk-size",
        "cloud.engine", "cloud.health-prompt", "cloud.idle-timeout", "cloud.image", "cloud.instance-type",
        "cloud.kms-key", "cloud.memory", "cloud.model-id", "cloud.model-revision", "cloud.model-source", "cloud.name",
        "cloud.network", "cloud.public-ip", "cloud.quantization", "cloud.region", "cloud.replicas",
        "cloud.reservation", "cloud.role", "cloud.scale-down-delay", "cloud.scale-up-delay", "cloud.security-groups",
        "cloud.shm-size", "cloud.subnets", "cloud.tags", "cloud.zones", "aws.inference-ami-version",
        "aws.update-policy",
    }
)  # fmt: skip
FIXED = MappingProxyType(
    {
        "cloud.api-key-secret": "clients send AWS's own tokens (`reconcile token`): there is no key to choose",
        "cloud.cache": (
            "an instance fetches its weights when it starts and keeps them on its own disk; "
            "cloud.model-source=s3://… has them come from nearby"
        ),
        "cloud.disk-type": "SageMaker chooses the kind of disk",
        "cloud.health-path": "SageMaker asks /ping, and its images answer that from the server's own health",
        "cloud.hf-token-secret": (
            "SageMaker's images take a token as a variable only, which all can read who may describe the model; "
            "gated weights can come from s3:// (cloud.model-source), or go to aws-ec2"
        ),
        "cloud.project": "is Google Cloud's word; on AWS cloud.account is the guard",
    }
)
"""Options that mean something elsewhere, and why not here: said in the plan, and nothing is done."""
METRICS = ("concurrency", "rps", "gpu-util")
"""What replicas can be counted by: SageMaker has no queue in front of its instances."""
POLICIES = ("rolling", "blue-green")
DEFAULT_IDLE_S = 900
"""How long nobody must have asked before the last copy goes, where replicas may be none and the file says no time."""
LEAST_IDLE_S, MOST_IDLE_S = 60, 7 * 86_400
MOST_DISK_GB = 512


def replicas(spec: ModelSpec) -> Range:
    """How many instances, or copies where there may be none. `cloud.idle-timeout` makes the low end 0."""
    found = whole_range(spec.options.get("cloud.replicas", "1"))
    return Range(0, found.high) if idle_s(spec) is not None and found.low > 0 else found


def is_elastic(spec: ModelSpec) -> bool:
    """Whether it may have no instance at all for a while: then an inference component is between model and endpoint."""
    return replicas(spec).low == 0


def is_scaled(spec: ModelSpec) -> bool:
    """Whether somebody counts its instances or copies while it runs."""
    found = replicas(spec)
    return found.low != found.high


def idle_s(spec: ModelSpec) -> int | None:
    """Seconds without a request after which the last instance goes; None where one always stays."""
    written = spec.options.get("cloud.idle-timeout")
    if written is not None:
        return duration(written)
    return DEFAULT_IDLE_S if whole_range(spec.options.get("cloud.replicas", "1")).low == 0 else None


def findings(spec: ModelSpec, settings: AwsSettings) -> Iterator[Finding]:
    """What only this platform knows; of two findings for one key the later one counts."""
    if is_embedding(spec):
        detail = (
            "SageMaker's OpenAI-compatible URL leads to chat/completions only, not to embeddings; aws-ec2 serves them"
        )
        yield Finding("model", Handling.REJECTED, detail)
    try:
        types = instance_types(spec)
    except Rejected as refusal:
        key, _, detail = str(refusal).partition(": ")
        yield Finding(key, Handling.REJECTED, detail)
        return
    yield from _said(spec, types[0])
    yield from _machines(spec, types)
    yield from _scaling(spec, settings)
    yield from _rest(spec)


def _said(spec: ModelSpec, instance_type: str) -> Iterator[Finding]:
    """What the container cannot be told. A spec that the engine itself cannot serve has its findings already."""
    try:
        told = serving(spec, PLATFORM)
    except Rejected:
        return
    try:
        environment(told, instance_type)
    except Rejected as refusal:
        name = str(refusal).partition(" ")[0]
        at = next((f"runtime_flags[{n}]" for n, flag in enumerate(spec.runtime_flags) if flag.startswith(name)), "")
        key = "cloud.quantization" if name == "--quantization" else at or "model"
        yield Finding(key, Handling.REJECTED, str(refusal))


def _machines(spec: ModelSpec, types: tuple[str, ...]) -> Iterator[Finding]:
    named = f"as {', then '.join(types)}"
    for key in ("cloud.instance-type", "cloud.accelerator", "cloud.accelerator-memory", "cloud.cpu", "cloud.memory"):
        if key in spec.options:
            yield Finding(key, Handling.TRANSLATED if key != "cloud.instance-type" else Handling.HONOURED, named)
    if not all(is_gpu(each) for each in types) and manifest.engine_of(spec, PLATFORM) == "vllm":
        key = "cloud.instance-type" if "cloud.instance-type" in spec.options else "model"
        yield Finding(key, Handling.REJECTED, f"vLLM needs a GPU, and {types[0]} has none")
    owns = any(has_own_disk(each) for each in types)
    if "cloud.disk-size" in spec.options and owns:
        yield Finding("cloud.disk-size", Handling.TRANSLATED, f"{types[0]} has a disk of its own, whose size is fixed")
    elif "cloud.disk-size" in spec.options and size(spec.options["cloud.disk-size"]) > MOST_DISK_GB * 10**9:
        yield Finding("cloud.disk-size", Handling.REJECTED, f"SageMaker gives an instance {MOST_DISK_GB} GB at most")
    if "cloud.kms-key" in spec.options and owns:
        detail = f"the disk of {types[0]} is its own, and AWS takes no key for it; leave the option out"
        yield Finding("cloud.kms-key", Handling.REJECTED, detail)
    if "cloud.reservation" in spec.options and len(types) > 1:
        yield Finding("cloud.reservation", Handling.REJECTED, f"is for one instance type, and there are {len(types)}")
    if "cloud.shm-size" in spec.options:
        yield Finding("cloud.shm-size", Handling.TRANSLATED, "fixed by the platform")


def _scaling(spec: ModelSpec, settings: AwsSettings) -> Iterator[Finding]:
    found, key = replicas(spec), "cloud.replicas"
    if key not in spec.options:
        key = "cloud.idle-timeout"
    if found.high == 0:
        yield Finding(key, Handling.REJECTED, "no replicas at all is no deployment: leave the model out")
    elif found.high > settings.max_replicas:
        detail = f"the operator's settings allow {settings.max_replicas} at most (aws.max_replicas)"
        yield Finding(key, Handling.REJECTED, detail)
    idle = idle_s(spec)
    if idle is not None and not LEAST_IDLE_S <= idle <= MOST_IDLE_S:
        yield Finding("cloud.idle-timeout", Handling.REJECTED, "CloudWatch can tell between 60s and 7d")
    if idle is None and "cloud.idle-timeout" in spec.options and found.low == 0:
        yield Finding("cloud.idle-timeout", Handling.REJECTED, "off contradicts cloud.replicas, which begins at 0")
    metric = spec.options.get("cloud.autoscale-metric", METRICS[0])
    if metric not in METRICS or (metric == "gpu-util" and is_elastic(spec)):
        allowed = METRICS[:2] if is_elastic(spec) else METRICS
        detail = f"SageMaker counts by {', '.join(allowed)} here"
        yield Finding("cloud.autoscale-metric", Handling.REJECTED, detail)
    target = spec.options.get("cloud.autoscale-target")
    if target is not None and number(target) <= 0:
        yield Finding("cloud.autoscale-target", Handling.REJECTED, "must be more than 0")
    if not is_scaled(spec):
        for each in ("metric", "target"):
            if f"cloud.autoscale-{each}" in spec.options:
                yield Finding(f"cloud.autoscale-{each}", Handling.IGNORED, "the number of replicas is fixed")


def _rest(spec: ModelSpec) -> Iterator[Finding]:
    yield from (Finding(key, Handling.IGNORED, why) for key, why in FIXED.items() if key in spec.options)
    auth = spec.options.get("cloud.auth", "iam")
    if auth != "iam":
        detail = f"SageMaker asks for AWS's own tokens, so {auth} cannot be had; leave it out, or write iam"
        yield Finding("cloud.auth", Handling.REJECTED, detail)
    if "cloud.public-ip" in spec.options:
        if boolean(spec.options["cloud.public-ip"]):
            yield Finding("cloud.public-ip", Handling.REJECTED, "an endpoint's instances never have public addresses")
        else:
            yield Finding("cloud.public-ip", Handling.HONOURED)
    if "cloud.accept-eula" in spec.options and not spec.options.get("cloud.model-source", "").startswith("s3://"):
        detail = "SageMaker asks for it with weights from s3:// only"
        yield Finding("cloud.accept-eula", Handling.IGNORED, detail)
    policy = spec.options.get("aws.update-policy", POLICIES[0])
    if policy not in POLICIES:
        yield Finding("aws.update-policy", Handling.REJECTED, f"is one of {', '.join(POLICIES)}")
