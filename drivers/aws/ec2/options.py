"""What this driver makes of a spec, before anything is asked of AWS. Pure but for the operator's settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network
from types import MappingProxyType

from drivers.aws.ec2 import machines
from drivers.aws.ec2.expiry import can_read_tags
from drivers.aws.serving import weights
from drivers.aws.settings import AwsSettings
from drivers.base import Finding, Handling, ModelSpec
from drivers.errors import Rejected
from drivers.modelstore.reference import Kind
from drivers.values import boolean, comma_list, duration, size, whole_range

IMPLEMENTED = frozenset(
    f"cloud.{name}"
    for name in (
        "accelerator", "accelerator-memory", "accept-eula", "account", "allowed-cidrs", "api-key-secret", "auth",
        "cache", "cpu", "credentials", "disk-size", "disk-type", "engine", "health-path", "health-prompt",
        "hf-token-secret", "image", "instance-type", "kms-key", "memory", "model-id", "model-revision",
        "model-source", "name", "network", "public-ip", "quantization", "region", "replicas", "reservation", "role",
        "security-groups", "shm-size", "spot", "subnets", "tags", "ttl", "visibility", "zones",
    )
)  # fmt: skip
"""Option keys of the vocabulary that this driver honours."""

DISK_TYPES = ("gp3", "gp2")
_MOST_DISK = 16 * 2**40
_LEFT_ALONE = {
    False: "protected or not, and should nobody be left to delete it, the machine ends itself an hour later",
    True: "protected or not, and should nobody be left to delete it, AWS ends the machines an hour later; "
    "the load balancer stays",
}


def findings(spec: ModelSpec, settings: AwsSettings) -> Iterator[Finding]:
    """What only this platform knows of the spec's options."""
    for key, judge in _JUDGES.items():
        if key in spec.options:
            wrong = judge(spec.options[key], spec, settings)
            if wrong:
                yield Finding(key, Handling.REJECTED, wrong)
    try:
        machines.instance_types(spec)
    except Rejected as refusal:
        key, _, detail = str(refusal).partition(": ")
        yield Finding(key, Handling.REJECTED, detail)
    yield from _translated(spec)


def wants_public_address(spec: ModelSpec) -> bool:
    """Whether machines get a public address, for their endpoint or only to reach the internet."""
    return is_public(spec) or boolean(spec.options.get("cloud.public-ip", "false"))


def is_public(spec: ModelSpec) -> bool:
    """Whether clients come from outside the network."""
    return spec.options.get("cloud.visibility") == "public"


def brings_groups(spec: ModelSpec, settings: AwsSettings) -> bool:
    """Whether the operator's security groups decide who gets in, and none of ours is made."""
    return bool(settings.entries("security_groups", "cloud.security-groups", spec))


def _translated(spec: ModelSpec) -> Iterator[Finding]:
    if is_public(spec):
        detail = "over plain HTTP: key and texts can be read on their way; the operator puts TLS before it"
        yield Finding("cloud.visibility", Handling.TRANSLATED, detail)
    if duration(spec.options.get("cloud.ttl", "off")) is not None:
        yield Finding("cloud.ttl", Handling.TRANSLATED, _LEFT_ALONE[machines.replicas(spec) > 1])
    if "cloud.idle-timeout" in spec.options:
        yield _idle(duration(spec.options["cloud.idle-timeout"]))
    if "cloud.accept-eula" in spec.options:
        yield _eula(spec)


def _idle(seconds: int | None) -> Finding:
    if seconds is None:
        return Finding("cloud.idle-timeout", Handling.HONOURED, "machines are never stopped")
    detail = "a machine that is stopped could be woken by nobody: it runs, and costs money, until it is deleted"
    return Finding("cloud.idle-timeout", Handling.IGNORED, detail)


def _eula(spec: ModelSpec) -> Finding:
    """Whoever publishes weights asks for it, at the place where they lie; AWS has no part in that."""
    if "cloud.hf-token-secret" in spec.options and _is_on_hub(spec):
        detail = "Hugging Face holds the token's account to it: that has to have accepted it there"
        return Finding("cloud.accept-eula", Handling.TRANSLATED, detail)
    return Finding("cloud.accept-eula", Handling.IGNORED, "nobody asks for it where these weights come from")


def _is_on_hub(spec: ModelSpec) -> bool:
    if spec.options.get("cloud.model-source", "").startswith("s3://"):
        return False
    try:
        return weights(spec).kind is Kind.HF
    except Rejected:
        return False


def _auth(text: str, spec: ModelSpec, settings: AwsSettings) -> str:
    return "" if text == "api-key" else f"a machine of one's own asks for a key, not for {text}: use api-key"


def _visibility(text: str, spec: ModelSpec, settings: AwsSettings) -> str:
    if text == "tunnel":
        return "this platform opens no tunnels: use private"
    return _needs_public(text == "public", settings)


def _public_ip(text: str, spec: ModelSpec, settings: AwsSettings) -> str:
    return _needs_public(boolean(text), settings)


def _needs_public(asked: bool, settings: AwsSettings) -> str:
    return "the operator's settings do not allow public addresses (aws.public)" if asked and not settings.public else ""


def _cidrs(text: str, spec: ModelSpec, settings: AwsSettings) -> str:
    if "cloud.security-groups" in spec.options or brings_groups(spec, settings):
        return "the operator's security groups say who may connect"
    for cidr in comma_list(text):
        try:
            network = ip_network(cidr)
        except ValueError as wrong:
            return str(wrong)
        if not network.is_private and not settings.public:
            return f"{cidr} is public, and the operator's settings do not allow that (aws.public)"
    return ""


def _replicas(text: str, spec: ModelSpec, settings: AwsSettings) -> str:
    asked = whole_range(text)
    if asked.low < 1:
        return "machines are not stopped and woken yet: 1 or more"
    if asked.high > settings.max_replicas:
        return f"the operator's settings allow {settings.max_replicas} (aws.max_replicas)"
    if asked.high > asked.low:
        # A load balancer counts connections, and those of a client that asks nothing stay open; nobody measures GPUs.
        return f"nothing here tells how busy machines are, so none is added or taken away: write {asked.low:g} alone"
    if asked.low > 1 and spec.options.get("cloud.spot") == "prefer":
        return "a group of machines does not fall back from spot to on-demand: cloud.spot=require or never"
    return ""


def _ttl(text: str, spec: ModelSpec, settings: AwsSettings) -> str:
    if duration(text) is None or machines.replicas(spec) > 1 or can_read_tags(spec):
        return ""
    return "the machine reads its end in its tags, which it cannot where a key of cloud.tags has a space or a slash"


def _disk_size(text: str, spec: ModelSpec, settings: AwsSettings) -> str:
    return "" if size(text) <= _MOST_DISK else "a volume of EBS has 16 TiB at most"


def _disk_type(text: str, spec: ModelSpec, settings: AwsSettings) -> str:
    return "" if text in DISK_TYPES else f"volumes here are {' or '.join(DISK_TYPES)}"


def _cache(text: str, spec: ModelSpec, settings: AwsSettings) -> str:
    return "" if text in ("none", "disk") else "weights are kept on the machine's disk: use disk or none"


def _reservation(text: str, spec: ModelSpec, settings: AwsSettings) -> str:
    if not re.fullmatch(r"cr-[0-9a-f]{8,17}", text):
        return "is not the id of a capacity reservation (cr-…)"
    return "spot machines have no reservation" if spec.options.get("cloud.spot", "never") != "never" else ""


def _source(text: str, spec: ModelSpec, settings: AwsSettings) -> str:
    is_llamacpp = spec.options.get("cloud.engine", "auto") in ("auto", "llamacpp")
    if text.startswith("s3://") and is_llamacpp and not text.endswith(".gguf"):
        return "llama-server reads one file: name the .gguf itself, or cloud.engine=vllm"
    return ""


_JUDGES: Mapping[str, Callable[[str, ModelSpec, AwsSettings], str]] = MappingProxyType(
    {
        "cloud.auth": _auth,
        "cloud.visibility": _visibility,
        "cloud.public-ip": _public_ip,
        "cloud.allowed-cidrs": _cidrs,
        "cloud.replicas": _replicas,
        "cloud.ttl": _ttl,
        "cloud.disk-size": _disk_size,
        "cloud.disk-type": _disk_type,
        "cloud.cache": _cache,
        "cloud.reservation": _reservation,
        "cloud.model-source": _source,
    }
)
