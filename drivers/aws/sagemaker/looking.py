"""Many endpoints at once: what the index says where that is enough, a look at each where it is not.

SageMaker's Search gives a hundred endpoints to a call and lags behind. That is good enough for what stays as it is and
answered before, and for what is being created; whatever changes is asked for by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from drivers.aws import patience
from drivers.aws.sagemaker import phases
from drivers.aws.sagemaker.api import Api
from drivers.aws.sagemaker.facts import Component, Seen
from drivers.aws.sagemaker.options import is_elastic
from drivers.aws.sagemaker.phases import ANSWERED, Standing
from drivers.aws.tags import is_ours
from drivers.base import Deployment, Observation, Phase, unknown
from drivers.errors import DriverError

FEW = 4
"""So many are asked for by name at once: the index would be no cheaper, and is less fresh."""
AT_ONCE = 8


def many(
    api: Api,
    deployments: Sequence[Deployment],
    observe: Callable[[Deployment], Observation],
    answer: Callable[[Deployment, Standing], Observation],
) -> Mapping[str, Observation]:
    """An observation for each. `observe` looks at one by name, `answer` makes an observation of a standing."""
    settled = {} if len(deployments) <= FEW else _by_index(api, deployments)

    def look(deployment: Deployment) -> Observation:
        try:
            if deployment.id in settled:
                return answer(deployment, settled[deployment.id])
            return observe(deployment)
        except DriverError as error:
            return unknown(error)

    if len(deployments) == 1:
        return {deployments[0].id: look(deployments[0])}
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        seen = pool.map(patience.carried(look), deployments)
        return {deployment.id: one for deployment, one in zip(deployments, seen, strict=True)}


def _by_index(api: Api, deployments: Sequence[Deployment]) -> Mapping[str, Standing]:
    found: dict[str, Seen] = {}
    for lineage in dict.fromkeys(deployment.lineage for deployment in deployments):
        found |= api.search(lineage)
    elastic = any(is_elastic(deployment.spec) for deployment in deployments)
    components = api.components() if elastic else {}
    standings = {
        deployment.id: standing(deployment, found.get(deployment.name), components) for deployment in deployments
    }
    return {id: about for id, about in standings.items() if about is not None}


def standing(deployment: Deployment, seen: Seen | None, components: Mapping[str, Component]) -> Standing | None:
    """What the index says of a deployment, where that may be believed. Pure."""
    if seen is None or not is_ours(seen.tags, deployment):
        return None
    about = phases.standing(deployment, seen)
    if about.phase is Phase.READY and is_elastic(deployment.spec):
        about = phases.with_component(deployment, seen, components.get(deployment.name))
    if about.phase is Phase.CREATING and seen.status == "Creating":
        return about
    answered = deployment.handle.get(ANSWERED) == about.serves
    is_steady = about.phase is Phase.READY and answered and about.digest == deployment.spec.digest
    return about if is_steady else None
