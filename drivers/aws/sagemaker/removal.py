"""Deleting a deployment: what costs money first, every part in an order that can be taken up again after a crash.

    mark → alarms → end the scaling → inference component → endpoint → gone → configurations → models

An endpoint that is being created or changed cannot be deleted (amazon-sagemaker-examples #3432), so a deletion may be
asked for many times before it begins.
"""

from __future__ import annotations

from drivers.aws.sagemaker import names, pieces
from drivers.aws.sagemaker.api import Api
from drivers.aws.sagemaker.facts import Seen
from drivers.aws.sagemaker.options import is_elastic
from drivers.aws.sagemaker.scaling import Scaler
from drivers.aws.tags import deployment_from
from drivers.base import Deployment

BUSY = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack"})


def delete_endpoint(api: Api, scaler: Scaler, deployment: Deployment, seen: Seen) -> str:
    """Take the next step for an endpoint of ours, and say where it stands."""
    if seen.status == "Deleting":
        return "AWS is deleting the endpoint"
    has_component = _has_component(deployment, seen)
    if has_component and names.LEAVING not in seen.tags:
        # An endpoint without its component would look like a create that broke off, also one that is still coming.
        api.tag(seen.arn, {names.LEAVING: "true"})
    if seen.status in BUSY:
        return f"AWS cannot delete an endpoint that is {seen.status}; it is asked for again"
    found = pieces.pieces(api, deployment)
    pieces.mark(api, found)
    scaler.unguard(deployment, pieces.revisions(found, names.revision(deployment)))
    if has_component:
        scaler.remove(deployment, elastic=True)
        component = api.component(deployment.name)
        if component is not None:
            if component.status != "Deleting":
                api.remove("inference_component", deployment.name)
            return "AWS is deleting the model's copies"
    else:
        scaler.remove(deployment, elastic=False)
    api.remove("endpoint", deployment.name)
    return "AWS is deleting the endpoint"


def delete_rest(api: Api, scaler: Scaler, deployment: Deployment, *, keep: str = "") -> bool:
    """Remove what is left when the endpoint is gone, or never came. True when all of it was seen gone.

    `keep` is the revision that an endpoint of this name serves which lost our tags: it is left alone, with that, and
    whatever scales it. Where somebody else deleted the endpoint, its alarms are still there, and paid for."""
    if not keep:
        scaler.remove(deployment, elastic=is_elastic(deployment.spec))
    found = _without(pieces.pieces(api, deployment), keep)
    scaler.unguard(deployment, [name for name in pieces.revisions(found, names.revision(deployment)) if name != keep])
    if not found:
        return True
    pieces.mark(api, found)
    pieces.remove(api, found)
    return not _without(pieces.pieces(api, deployment), keep)


def _without(found: tuple[pieces.Piece, ...], revision: str) -> tuple[pieces.Piece, ...]:
    return tuple(piece for piece in found if piece.name != revision)


def _has_component(deployment: Deployment, seen: Seen) -> bool:
    """As it was made: a spec that came later, and was not reached, says nothing of it."""
    made = deployment_from(seen.tags)
    return is_elastic(made.spec if made is not None else deployment.spec)
