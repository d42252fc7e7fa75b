"""Whether the server behind an address does its work: ready by a real answer to our key, alive by its health check."""

from __future__ import annotations

from collections.abc import Mapping

from drivers import flags, probe
from drivers.aws.ec2.userdata import PORT
from drivers.aws.patience import share_s
from drivers.aws.serving import is_embedding
from drivers.aws.settings import AwsSettings
from drivers.base import Auth, Deployment, Endpoint, Observation, Phase

ANSWERED = "answered"
"""The key of the handle that says which machine, or which load balancer, has given a real answer."""
STARTING_S, WORKING_S = 10.0, 30.0
"""Seconds until the next look at what starts, and at what does not answer."""
KEY_REFUSED = "the server does not take our key"
_HEALTH_S, _LIST_S, _ANSWER_S = 2.0, 3.0, 18.0


def base_url(address: str) -> str:
    """The URL of a machine or a load balancer as clients use it."""
    return f"http://{f'[{address}]' if ':' in address else address}:{PORT}/v1/"


def first_answer(deployment: Deployment, address: str, key: str, settings: AwsSettings) -> str:
    """What is still missing to READY; empty when nothing is."""
    url, spec = base_url(address), deployment.spec
    health = _health(deployment, address)
    if health.status is None:
        return "the machine is installing the engine"
    if not health.ok:
        return "the server is loading the model"
    listed = probe.models(url, key=key, timeout_s=share_s(_LIST_S))
    if listed.status in (401, 403):
        return KEY_REFUSED
    # Releases before comma-separated aliases list the whole text as one name.
    if spec.model not in {alias for name in listed.names for alias in (name, *name.split(","))}:
        return "the address is answered by a server that does not list our model"
    if probe.continue_text(url, spec.model, timeout_s=share_s(_LIST_S)).status not in (401, 403):
        return "the address is answered by a server that does not ask for our key"
    answer = _ask(deployment, url, key, share_s(min(settings.answer_timeout_s, _ANSWER_S)))
    if answer.status in (401, 403):
        return KEY_REFUSED
    return "" if answer.ok else f"the model does not answer yet: {answer.detail}"


def is_well(deployment: Deployment, address: str) -> bool:
    """Whether one that answered before still passes its health check."""
    return _health(deployment, address).ok


def endpoint(deployment: Deployment, address: str, key_file: str) -> Endpoint:
    """Where clients find it."""
    return Endpoint(url=base_url(address), model_id=deployment.spec.model, auth=Auth.API_KEY, key_file=key_file)


def ready(deployment: Deployment, where: Endpoint, handle: Mapping[str, str], detail: str = "") -> Observation:
    digest = deployment.spec.digest
    return Observation(phase=Phase.READY, detail=detail, endpoint=where, handle=handle, spec_digest=digest)


def degraded(deployment: Deployment, where: Endpoint, handle: Mapping[str, str], detail: str) -> Observation:
    return Observation(
        phase=Phase.DEGRADED,
        detail=detail,
        endpoint=where,
        handle=handle,
        look_again_s=WORKING_S,
        spec_digest=deployment.spec.digest,
    )


def creating(deployment: Deployment, handle: Mapping[str, str], detail: str) -> Observation:
    digest = deployment.spec.digest
    return Observation(phase=Phase.CREATING, detail=detail, handle=handle, look_again_s=STARTING_S, spec_digest=digest)


def _health(deployment: Deployment, address: str) -> probe.Answer:
    path = deployment.spec.options.get("cloud.health-path", "/health")
    return probe.health(base_url(address), path=path, timeout_s=share_s(_HEALTH_S))


def _ask(deployment: Deployment, url: str, key: str, timeout_s: float) -> probe.Answer:
    """A real request of the kind the model is for."""
    spec = deployment.spec
    prompt = spec.options.get("cloud.health-prompt", "Hi")
    if flags.value_of(spec.runtime_flags, "--reranking"):
        return probe.rerank(url, spec.model, key=key, text=prompt, timeout_s=timeout_s)
    if is_embedding(spec):
        return probe.embed(url, spec.model, key=key, text=prompt, timeout_s=timeout_s)
    return probe.complete(url, spec.model, key=key, prompt=prompt, timeout_s=timeout_s)
