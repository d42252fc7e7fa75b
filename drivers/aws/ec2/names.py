"""Names, parameter paths and request tokens of a deployment's parts, derived from its stored id. Pure."""

from __future__ import annotations

import hashlib

from drivers.base import Deployment

ROOT = "/compose-model-reconciler"
"""Every parameter of ours lies below it: what IAM policies are written against."""
BALANCER_PREFIX = "cmr-"
"""What the names of load balancers and target groups begin with."""
DELETING = "cmr:deleting"
"""The tag on a launch template whose deployment is on its way out."""
TRIED = "cmr:tried"
"""The tag on a launch template that says how many ways to get a machine were refused."""


def key_folder(deployment: Deployment) -> str:
    """Where the key of the deployment's model lies, once for each of its deployments: `/…/LINEAGE/MODEL`."""
    return f"{ROOT}/{deployment.lineage}/{_short(f'{deployment.project}|{deployment.model}', 16)}"


def key_parameter(deployment: Deployment) -> str:
    """The parameter from which this deployment's machines read their key."""
    return f"{key_folder(deployment)}/{deployment.name}"


def key_file_name(deployment: Deployment) -> str:
    """The name of the local copy, one for all deployments of a model."""
    return _short(f"{deployment.lineage}|{deployment.project}|{deployment.model}", 16)


def balancer_name(deployment: Deployment) -> str:
    """For load balancers and target groups, whose names have at most 32 characters."""
    return BALANCER_PREFIX + _short(f"{deployment.lineage}|{deployment.id}", 24)


def ending_name(deployment: Deployment) -> str:
    """The scheduled action that ends a fleet."""
    return f"{deployment.name}-end"


def token(deployment: Deployment, *parts: object) -> str:
    """A client token: the same request of a deployment has the same one for ever, another request another one."""
    return _short("|".join((deployment.lineage, deployment.id, *map(str, parts))), 48)


def _short(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
