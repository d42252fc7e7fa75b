"""The operator's settings of single platforms: one section of `reconciler.yaml` each. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from drivers.aws.settings import AwsSettings
    from reconciler.sections import Section


class LocalSettings(NamedTuple):
    """The llama.cpp driver on this host."""

    server: Path | None = None
    bind: str = "auto"
    """An address, or `auto`: the Docker bridge's where there is one, otherwise loopback."""
    models_roots: tuple[Path, ...] = ()
    """Folders from which a `file:` reference may be served."""
    insecure_registries: tuple[str, ...] = ()
    """Registries spoken to without TLS."""
    public: bool = False
    """Let a file ask for `cloud.visibility=public`: a server that listens on every address of this host."""
    environment: Mapping[str, str] = MappingProxyType({})
    """Added to the environment of every server: LD_LIBRARY_PATH, CUDA_VISIBLE_DEVICES …"""
    health_timeout_s: float = 2.0
    """Seconds a server has for its health check."""
    answer_timeout_s: float = 20.0
    """Seconds a model has for one token, when that decides whether it is ready."""


def local_settings(section: Section, base: Path) -> LocalSettings:
    """The section `llamacpp`."""
    standard = LocalSettings()
    result = LocalSettings(
        server=section.path("server", base),
        bind=_bind(section),
        models_roots=section.paths("models_roots", base),
        insecure_registries=section.texts("insecure_registries"),
        public=section.boolean("public", standard.public),
        environment=MappingProxyType(section.mapping("environment")),
        health_timeout_s=section.seconds("health_timeout", standard.health_timeout_s, least=0.1),
        answer_timeout_s=section.seconds("answer_timeout", standard.answer_timeout_s, least=1),
    )
    section.end()
    return result


def _bind(section: Section) -> str:
    written = section.text("bind") or "auto"
    if written not in ("auto", "localhost"):
        from ipaddress import ip_address

        try:
            ip_address(written)
        except ValueError:
            raise section.wrong("must be an address of this host, 'localhost' or 'auto'", "bind") from None
    return written


def aws_settings(section: Section, state_dir: Path) -> AwsSettings | None:
    """The section `aws`; None where it says nothing new, so that a start without it imports nothing."""
    if not section.given:
        return None
    from drivers.aws.settings import AwsSettings

    standard = AwsSettings(key_root=state_dir / "aws")
    tables = ("credentials", "roles", "networks", "subnets", "security_groups", "kms_keys", "secrets")
    result = AwsSettings(
        key_root=standard.key_root,
        region=section.text("region"),
        regions=section.texts("regions"),
        account=section.text("account"),
        **{name: MappingProxyType(section.mapping(name)) for name in tables},
        instance_profile=section.text("instance_profile"),
        machine_image=section.text("machine_image") or standard.machine_image,
        allowed_images=section.texts("allowed_images"),
        provisioned_throughput=section.boolean("provisioned_throughput", standard.provisioned_throughput),
        substitute=standard.substitute,  # the service's own, which `wiring` knows
        public=section.boolean("public", standard.public),
        max_replicas=section.integer("max_replicas", standard.max_replicas),
        answer_timeout_s=section.seconds("answer_timeout", standard.answer_timeout_s, least=1),
    )
    section.end()
    return None if result == standard else result
