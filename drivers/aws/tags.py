"""Owner tags on AWS: what marks a thing as ours, and the whole spec, so that a lost record can be read back from them.

A value has at most 256 characters of a narrow alphabet and a thing at most 50 tags, so the spec goes in as compressed
base64 in numbered pieces. `drivers.base.owner_tags` are beside it in plain words, for people and for IAM conditions.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping

from drivers.base import OWNER, Deployment, ModelSpec, owner_tags
from drivers.errors import Rejected
from drivers.values import pairs

LINEAGE, DEPLOYMENT, SPEC = "cmr:lineage", "cmr:deployment", "cmr:spec"
_NAME, PIECE = "cmr:name", "cmr:spec-"
SPARE = 4
"""Tags that a platform may add to these, for what it has to remember of a thing."""
_LONGEST, _MOST = 256, 40
_SIGNS = " _.:/=+-@"
_MOST_TEXT = 1 << 16
"""Characters of a spec. Nobody reads back a longer one, so that nothing may be made of it."""


def tags_of(deployment: Deployment) -> dict[str, str]:
    """All tags of a thing that belongs to a deployment: ours, and those that `cloud.tags` and `cloud.name` ask for.

    Raises Rejected for a spec that is too long for the tags of one thing, or tags that would pass for ours.
    """
    own = {**owner_tags(deployment), _NAME: deployment.name, **_pieces(deployment.spec)}
    asked = asked_for(deployment.spec)
    if "cloud.name" in deployment.spec.options:
        asked["Name"] = deployment.spec.options["cloud.name"]
    found = {"Name": deployment.name, **asked, **own}
    if len(found) > 50 - SPARE:
        raise Rejected("cloud.tags: AWS allows 50 tags on one thing, and ours are among them; name fewer")
    return found


def asked_for(spec: ModelSpec) -> dict[str, str]:
    """The tags of `cloud.tags`. Raises Rejected for one that would pass for ours, or that AWS does not take."""
    asked = dict(pairs(spec.options["cloud.tags"])) if "cloud.tags" in spec.options else {}
    for key, value in asked.items():
        if key.lower().startswith(("cmr:", "aws:")):
            raise Rejected(f"cloud.tags: the key '{key}' is not free: keys that begin with cmr: or aws: are taken")
        if len(key) > 128 or len(value) > _LONGEST:
            raise Rejected(f"cloud.tags: AWS takes 128 characters for a key and {_LONGEST} for a value")
        if not all(letter.isalnum() or letter in _SIGNS for letter in key + value):
            raise Rejected(f"cloud.tags: '{key}': AWS takes letters, digits, spaces and {_SIGNS.strip()} only")
    return asked


def as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """In the form that most of AWS's calls take."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def as_lower_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """In Bedrock's form."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def as_mapping(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """From either form."""
    return {tag.get("Key", tag.get("key", "")): tag.get("Value", tag.get("value", "")) for tag in tags or ()}


def is_ours(tags: Mapping[str, str], deployment: Deployment) -> bool:
    """Whether the tags name exactly this deployment of this installation."""
    wanted = owner_tags(deployment)
    return all(tags.get(key) == wanted[key] for key in (OWNER, LINEAGE, DEPLOYMENT))


def deployment_from(tags: Mapping[str, str]) -> Deployment | None:
    """The deployment whose tags these are, without its handle; None where they are not whole, or not ours."""
    needed = (OWNER, LINEAGE, "cmr:project", "cmr:model", DEPLOYMENT, _NAME)
    if any(key not in tags for key in needed) or tags[OWNER] != "compose-model-reconciler":
        return None
    spec = _spec(tags)
    if spec is None or spec.digest != tags.get(SPEC):
        return None
    return Deployment(
        id=tags[DEPLOYMENT],
        lineage=tags[LINEAGE],
        project=tags["cmr:project"],
        model=tags["cmr:model"],
        name=tags[_NAME],
        spec=spec,
    )


def _pieces(spec: ModelSpec) -> dict[str, str]:
    text = json.dumps([spec.model, spec.context_size, list(spec.runtime_flags), dict(spec.options)], ensure_ascii=True)
    packed = base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    pieces = [packed[start : start + _LONGEST] for start in range(0, len(packed), _LONGEST)]
    if len(pieces) > _MOST - 10 or len(text) > _MOST_TEXT:
        raise Rejected(
            f"the model's options and flags are too long for AWS's tags ({len(text)} characters): shorten them"
        )
    return {f"{PIECE}{index:02d}": piece for index, piece in enumerate(pieces)}


def _spec(tags: Mapping[str, str]) -> ModelSpec | None:
    packed = "".join(tags[key] for key in sorted(tags) if key.startswith(PIECE))
    try:
        inflater = zlib.decompressobj()
        text = inflater.decompress(base64.b64decode(packed, validate=True), _MOST_TEXT)
        model, context_size, flags, options = json.loads(text)
        return ModelSpec(model=model, context_size=context_size, runtime_flags=tuple(flags), options=dict(options))
    except (ValueError, TypeError, zlib.error):
        return None  # somebody changed them: what cannot be read back is nobody's
