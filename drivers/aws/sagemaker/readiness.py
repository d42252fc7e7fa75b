"""The OpenAI-compatible URL of an endpoint, and whether its model answers there: one real completion, with a token."""

from __future__ import annotations

from typing import Any

from drivers import probe
from drivers.aws.sagemaker.options import is_elastic
from drivers.aws.tokens import mint
from drivers.base import Auth, Deployment, Endpoint, ModelSpec

TOKEN_S = 900
"""How long the token of a readiness check is good for, in seconds."""


def endpoint(deployment: Deployment, base: str) -> Endpoint:
    """Where clients ask. `base` is the service's address, `https://runtime.sagemaker.us-west-2.amazonaws.com`."""
    component = f"/inference-components/{deployment.name}" if is_elastic(deployment.spec) else ""
    return Endpoint(
        url=f"{base.rstrip('/')}/endpoints/{deployment.name}{component}/openai/v1/",
        model_id=deployment.spec.model,
        auth=Auth.PLATFORM,
    )


def answers(deployment: Deployment, base: str, credentials: Any, region: str, timeout_s: float) -> probe.Answer:
    """Have the model say one token."""
    there = endpoint(deployment, base)
    return probe.complete(
        there.url,
        there.model_id,
        key=mint(credentials, "sagemaker", region, expires_s=TOKEN_S),
        prompt=prompt(deployment.spec),
        timeout_s=timeout_s,
    )


def prompt(spec: ModelSpec) -> str:
    """What the model is asked."""
    return spec.options.get("cloud.health-prompt", "Hi")


def missing(answer: probe.Answer) -> str:
    """What a bad answer means, for people."""
    if answer.status in (401, 403):
        allowed = "the credentials need sagemaker:InvokeEndpoint and sagemaker:CallWithBearerToken (infra/aws/iam)"
        return f"the model may not be asked: {answer.detail}; {allowed}"
    return f"the model does not answer yet: {answer.detail}"
