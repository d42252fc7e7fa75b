"""What AWS's drivers make of a spec before anything is asked of AWS: the catalogue's findings, and our own over them.

Each platform brings a module `options` with IMPLEMENTED, the option keys it honours, and `findings(spec, settings)`,
what only it knows. Pure but for the operator's settings; no SDK, no network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType

from drivers import manifest
from drivers.aws.serving import ENGINES, serving
from drivers.aws.settings import AwsSettings
from drivers.aws.tags import asked_for, tags_of
from drivers.base import Deployment, Finding, Handling, ModelSpec
from drivers.errors import Denied, Rejected
from drivers.values import comma_list

MODULES: Mapping[str, str] = MappingProxyType(
    {
        "aws-sagemaker": "drivers.aws.sagemaker.options",
        "aws-bedrock": "drivers.aws.bedrock.options",
        "aws-ec2": "drivers.aws.ec2.options",
    }
)
_TABLES = MappingProxyType(
    {
        "cloud.credentials": "credentials",
        "cloud.role": "roles",
        "cloud.network": "networks",
        "cloud.kms-key": "kms_keys",
        "cloud.hf-token-secret": "secrets",
        "cloud.api-key-secret": "secrets",
    }
)
_LISTS = MappingProxyType({"cloud.subnets": "subnets", "cloud.security-groups": "security_groups"})
_AWS_IMAGES = ("public.ecr.aws/deep-learning-containers/",)
_AWS_REGISTRY = re.compile(r"763104351884\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/")
"""One label for the region: a host such as `763104351884.dkr.ecr.x.s3.amazonaws.com` is anybody's bucket."""


def check(spec: ModelSpec, platform: str, settings: AwsSettings) -> tuple[Finding, ...]:
    """One finding for everything in the spec, in the order of `spec.fields()`."""
    own_module = import_module(MODULES[platform])
    found = manifest.check(spec, platform, own_module.IMPLEMENTED)
    own: dict[str, Finding] = {}
    for finding in (*_common(spec, platform, settings), *own_module.findings(spec, settings)):
        own[finding.key] = _later(own.get(finding.key), finding)
    return tuple(_stronger(finding, own.get(finding.key)) for finding in found)


def refuse(spec: ModelSpec, platform: str, settings: AwsSettings) -> None:
    """Raise Rejected for the first thing in the spec that is refused."""
    for finding in check(spec, platform, settings):
        if finding.handling is Handling.REJECTED:
            raise Rejected(f"{finding.key}: {finding.detail}")


def _later(earlier: Finding | None, finding: Finding) -> Finding:
    """Of two findings for one key the later one counts, but that nothing makes up for a refusal."""
    if earlier is None or earlier.handling is not Handling.REJECTED:
        return finding
    return finding if finding.handling is Handling.REJECTED else earlier


def _stronger(general: Finding, own: Finding | None) -> Finding:
    """What the platform refuses by the catalogue is not allowed by anybody."""
    return general if own is None or general.handling is Handling.REJECTED else own


def _common(spec: ModelSpec, platform: str, settings: AwsSettings) -> Iterator[Finding]:
    """In the order of growing importance: of two findings for one key the later one counts."""
    yield from _region(comma_list(spec.options.get("cloud.region", "")), settings)
    if platform != "aws-bedrock":
        yield from _engine(spec, platform)
    yield from _named(spec, settings)
    yield from _tags(spec, platform)
    image = spec.options.get("cloud.image")
    if image is not None and not is_allowed_image(image, settings):
        detail = "the operator's settings do not allow images from there (aws.allowed_images)"
        yield Finding("cloud.image", Handling.REJECTED, detail)


def _region(named: Sequence[str], settings: AwsSettings) -> Iterator[Finding]:
    searched = [each for each in (settings.region, *settings.regions) if each]
    is_elsewhere = bool(named and searched) and named[0] not in searched
    if is_elsewhere and settings.regions:
        allowed = ", ".join(dict.fromkeys(searched))
        detail = f"the operator keeps models to {allowed} (aws.regions, policy.allowed_regions)"
        yield Finding("cloud.region", Handling.REJECTED, detail)
        return
    said = [f"{named[0]} is used; the others are not yet tried"] if len(named) > 1 else []
    if is_elsewhere:
        lost = "should the record be lost and the file then name another region, nobody looks for it in"
        said.append(f"{lost} {named[0]}: the operator adds that to aws.regions")
    if said:
        yield Finding("cloud.region", Handling.TRANSLATED, "; ".join(said))


def _engine(spec: ModelSpec, platform: str) -> Iterator[Finding]:
    engine = manifest.engine_of(spec, platform)
    if engine not in ENGINES:
        yield Finding("cloud.engine", Handling.REJECTED, f"{platform} runs {' and '.join(ENGINES)} in this release")
        return
    try:
        serving(spec, platform)
    except Rejected as refusal:
        keys = ("cloud.model-source", "cloud.model-revision", "cloud.model-id", "cloud.engine")
        # Flags have findings of their own, one by one.
        if not str(refusal).startswith("runtime_flags"):
            yield Finding(next((key for key in keys if key in spec.options), "model"), Handling.REJECTED, str(refusal))


def _tags(spec: ModelSpec, platform: str) -> Iterator[Finding]:
    """Whether AWS takes the tags that a thing of this spec gets: those asked for, and the spec itself."""
    key = "cloud.tags"
    try:
        asked = asked_for(spec)
        if asked or platform != "aws-bedrock":  # which otherwise makes nothing that has tags
            tags_of(Deployment(id="", lineage="", project="", model="", name="", spec=spec))
    except (Rejected, ValueError) as wrong:
        said = str(wrong)
        is_of_tags = said.startswith(key) or isinstance(wrong, ValueError)
        yield Finding(key if is_of_tags else "model", Handling.REJECTED, said.removeprefix(f"{key}: "))


def _named(spec: ModelSpec, settings: AwsSettings) -> Iterator[Finding]:
    for key, table in (*_TABLES.items(), *_LISTS.items()):
        if key not in spec.options:
            continue
        try:
            if key == "cloud.credentials" and spec.options[key] == "default":
                continue
            settings.entries(table, key, spec) if key in _LISTS else settings.entry(table, key, spec)
        except Denied as unknown:
            yield Finding(key, Handling.REJECTED, str(unknown).partition(": ")[2])


def is_allowed_image(image: str, settings: AwsSettings) -> bool:
    """Whether the operator lets a file name this image. AWS's own registries need no permission."""
    if image.startswith(_AWS_IMAGES) or _AWS_REGISTRY.match(image):
        return True
    return any(image == each or image.startswith(each.rstrip("/") + "/") for each in settings.allowed_images)
