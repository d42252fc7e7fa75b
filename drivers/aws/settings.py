"""What the operator decides about AWS. A repository may only name entries of these tables, never say what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from drivers.base import ModelSpec
from drivers.errors import Denied

CREDENTIAL_VARIABLES = (
    "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)  # fmt: skip
STANDARD = "default"
"""The entry that is taken where the file names none."""

NOTHING: Mapping[str, str] = MappingProxyType({})


def has_credentials(environment: Mapping[str, str]) -> bool:
    """Whether this process was given credentials for AWS, as far as that shows without SDK and network; those of
    an instance's own role do not."""
    home = Path(environment.get("HOME", "/nonexistent"))
    files = (environment.get("AWS_SHARED_CREDENTIALS_FILE"), environment.get("AWS_CONFIG_FILE"))
    places = (*(Path(each) for each in files if each), home / ".aws" / "credentials", home / ".aws" / "config")
    return any(environment.get(name) for name in CREDENTIAL_VARIABLES) or any(place.is_file() for place in places)


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsSettings:
    """One account's worth of names. Tables map the operator's name to AWS's id; the entry `default` needs no naming."""

    key_root: Path
    """A private folder for the keys of endpoints that are asked with one."""
    region: str | None = None
    """Where a model goes whose file says nothing; None leaves that to the AWS profile."""
    regions: tuple[str, ...] = ()
    """The regions of this installation, besides `region`: where what is ours is looked for, also when the state that
    knew it was lost. Where any are named, a file may name no other one; where none is, files may name any."""
    account: str | None = None
    """A guard: nothing is done with credentials of another account (12 digits)."""
    credentials: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """`cloud.credentials` to a profile of ~/.aws/config; `default` is the SDK's own search without one."""
    roles: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """`cloud.role` to the ARN of a role (SageMaker, Bedrock imports) or an instance profile's name or ARN (EC2)."""
    instance_profile: str | None = None
    """The instance profile of EC2 machines whose file names no `cloud.role`: a name or an ARN."""
    machine_image: str = (
        "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id"
    )
    """The public parameter of Systems Manager that names the image of EC2 machines, which must have Docker, NVIDIA's
    driver and container toolkit, and the AWS command line. It is read once per deployment."""
    networks: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """`cloud.network` to a VPC."""
    subnets: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """`cloud.subnets` to subnets; those whose name begins with `default` are taken where the file names none."""
    security_groups: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """`cloud.security-groups` to security groups; by name as for subnets."""
    kms_keys: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """`cloud.kms-key` to a KMS key."""
    secrets: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """`cloud.hf-token-secret`, `cloud.api-key-secret` to the name of a SecureString parameter of Systems Manager."""
    allowed_images: tuple[str, ...] = ()
    """Beginnings of container images that `cloud.image` may name; AWS's own registries need no mention."""
    provisioned_throughput: bool = False
    """Whether a file may ask Bedrock for `cloud.throughput=provisioned:N`, paid for by the hour, used or not."""
    substitute: str = "never"
    """`cloud.substitute` where the file says nothing: the service's own default for it."""
    public: bool = False
    """Whether a file may ask for `cloud.visibility=public` or `cloud.public-ip`."""
    max_replicas: int = 4
    """The most instances that one model may be given."""
    answer_timeout_s: float = 20.0
    """Seconds a model has for one token, when that decides whether it is ready."""

    def entry(self, table: str, key: str, spec: ModelSpec) -> str | None:
        """What an option such as `cloud.role` names in a table such as `roles`; the table's `default` where it says
        nothing, None where there is none. Raises Denied for a name that the operator did not give."""
        name = spec.options.get(key)
        found = self._table(table)
        if name is None:
            return found.get(STANDARD)
        if name not in found:
            raise Denied(self.unknown(table, key, name))
        return found[name]

    def entries(self, table: str, key: str, spec: ModelSpec) -> tuple[str, ...]:
        """The same for an option that is a list; where it says nothing, all whose names begin with `default`."""
        from drivers.values import comma_list

        found = self._table(table)
        if key not in spec.options:
            return tuple(id for name, id in found.items() if name.startswith(STANDARD))
        names = comma_list(spec.options[key])
        for name in names:
            if name not in found:
                raise Denied(self.unknown(table, key, name))
        return tuple(found[name] for name in names)

    def unknown(self, table: str, key: str, name: str) -> str:
        """What to say of a name that is not in a table."""
        known = ", ".join(self._table(table)) or "none"
        return f"{key}={name}: the settings have no such entry under aws.{table} (there: {known})"

    def _table(self, name: str) -> Mapping[str, str]:
        table: Mapping[str, str] = getattr(self, name)
        return table
