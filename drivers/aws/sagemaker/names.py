"""What things of a deployment are called on SageMaker, and the tags that say how far it has come. Pure.

SageMaker has no idempotency tokens for hosting: the name is the token. The endpoint and its inference component keep
the deployment's name for life. Model and configuration are immutable, so an update makes new ones: their names end in
a digest of that part of the spec which they hold, their *revision*.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from drivers import manifest
from drivers.aws.sagemaker.options import IMPLEMENTED, is_elastic
from drivers.base import Deployment, ModelSpec

VARIANT = "model"
"""The endpoint's one production variant."""
REVISION = "cmr:revision"
"""On the endpoint: the configuration that its spec came to. A later release may derive another one from the same spec,
and must not replace anybody's instances for that."""
SETTLED = "cmr:settled"
"""On the endpoint: the digest of the spec for which everything was done, scaling and clearing away included."""
LEAVING = "cmr:deleting"
"""On a model, and on an endpoint that has a component: its deployment is being deleted. Without this mark, a model
without an endpoint, or an endpoint without a component, is a create that broke off."""

LIVE = frozenset(
    {
        "cloud.replicas", "cloud.autoscale-metric", "cloud.autoscale-target", "cloud.scale-up-delay",
        "cloud.scale-down-delay", "cloud.idle-timeout", "cloud.tags", "cloud.name", "cloud.health-prompt",
        "cloud.auth", "cloud.public-ip", "cloud.shm-size",
    }
)  # fmt: skip
"""Keys that no model or configuration holds: what they say is changed on the endpoint itself, or is so anyway."""
_DIGEST = 12
_LONGEST = 63


def prefix(deployment: Deployment) -> str:
    """What the names of all models and configurations of a deployment begin with."""
    room = _LONGEST - _DIGEST - 1
    name = deployment.name
    if len(name) > room:
        name = f"{name[: room - 11]}-{hashlib.sha256(name.encode()).hexdigest()[:10]}"
    return f"{name}-"


def revision(deployment: Deployment) -> str:
    """The name of the model and of the configuration that this spec comes to."""
    return prefix(deployment) + _digest(deployment.spec)


def wanted(deployment: Deployment, tags: Mapping[str, str]) -> str:
    """The revision that an endpoint with these tags should have: the one it was given for this very spec, if it was."""
    given = tags.get(REVISION, "")
    return given if given and tags.get("cmr:spec") == deployment.spec.digest else revision(deployment)


def variant_target(deployment: Deployment) -> str:
    """The endpoint's variant: its instances are counted."""
    return f"endpoint/{deployment.name}/variant/{VARIANT}"


def component_target(deployment: Deployment) -> str:
    """The inference component: its copies are counted, and the instances follow."""
    return f"inference-component/{deployment.name}"


def _digest(spec: ModelSpec) -> str:
    held = {key: text for key, text in spec.fields().items() if key not in LIVE and not _is_inert(key)}
    held["kind"] = "component" if is_elastic(spec) else "variant"
    return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()[:_DIGEST]


def _is_inert(key: str) -> bool:
    return manifest.is_inert(key, "aws-sagemaker", IMPLEMENTED)
