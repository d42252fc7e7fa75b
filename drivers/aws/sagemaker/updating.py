"""Bringing an endpoint to another spec in place: one step for each call, and what is done last marks it as done.

    another revision    model and configuration beside the old ones, an alarm on what they answer, then UpdateEndpoint:
                        AWS exchanges the instances, and goes back to the old ones where the alarm rings
    another number      UpdateEndpointWeightsAndCapacities on what is there
    nothing of that     scaling is put or ended, what no longer serves is cleared away, the tags say the new spec

The old configuration must outlive the update, which fails without it (terraform-provider-aws #40048), so it goes in the
last step. Until the tags say the spec, an observation is not settled and the reconciler calls again: a crash anywhere
ends in the same place.
"""

from __future__ import annotations

from collections.abc import Callable

from drivers.aws.sagemaker import names, phases, pieces, requests
from drivers.aws.sagemaker.api import Api
from drivers.aws.sagemaker.facts import Seen
from drivers.aws.sagemaker.options import is_elastic, is_scaled
from drivers.aws.sagemaker.scaling import Scaler
from drivers.base import Deployment


def step(
    api: Api, scaler: Scaler, deployment: Deployment, seen: Seen, parts: Callable[[str], requests.Parts]
) -> phases.Goal | None:
    """Take the next step for an endpoint that is in service. The goal that AWS is on its way to now; None when all is
    done. `parts` are the requests for a revision. Whatever was done before an error is found again by the next call."""
    aim = phases.goal(deployment, seen)
    if aim.is_reached(seen):
        finish(api, scaler, deployment, seen, aim)
        return None
    if not is_elastic(deployment.spec):
        # AWS refuses other types under a scaler, and the scaler would undo another number.
        scaler.remove(deployment, elastic=False)
    if seen.config == aim.revision:
        wanted = requests.count(deployment, aim.instances or 1)
        about = f"changing the number of instances of {deployment.name}"
        api.change("update_endpoint_weights_and_capacities", wanted, about)
        return aim
    if seen.tags.get(names.SETTLED):
        # Else nobody would clear away what is made now, should the file go back before this comes to an end.
        api.tag(seen.arn, {names.SETTLED: ""})
    made = parts(aim.revision)
    api.make("model", made.model, deployment)
    api.make("endpoint_config", made.config, deployment)
    scaler.guard(deployment, aim.revision)
    api.change("update_endpoint", requests.update(deployment, aim.revision), f"updating {deployment.name}")
    return aim


def finish(api: Api, scaler: Scaler, deployment: Deployment, seen: Seen, aim: phases.Goal) -> None:
    """Everything but instances; the tags last."""
    if is_scaled(deployment.spec) or is_elastic(deployment.spec):
        scaler.put(deployment)
    else:
        scaler.remove(deployment, elastic=False)
    found = pieces.pieces(api, deployment)
    scaler.unguard(deployment, pieces.revisions(found, aim.revision))
    pieces.remove(api, found, keep=seen.config)
    _retag(api, deployment, seen, aim.revision)


def _retag(api: Api, deployment: Deployment, seen: Seen, revision: str) -> None:
    wanted = requests.endpoint_tags(deployment, revision, settled=True)
    surplus = [key for key in seen.tags if key not in wanted and not key.startswith("aws:")]
    # Pieces of a longer spec would be read as part of the new one, so they are emptied in the same call.
    emptied = {key: "" for key in surplus if key.startswith("cmr:spec-")}
    api.untag(seen.arn, tuple(key for key in surplus if key not in emptied and key != names.LEAVING))
    changed = {key: value for key, value in (wanted | emptied).items() if seen.tags.get(key) != value}
    if changed:
        api.tag(seen.arn, changed)
