"""The OpenAI-compatible URLs of endpoints and inference components (developer guide, "Invoke endpoints with
OpenAI-compatible APIs"): token first, then who serves, then the container's own answer, streams included.

Only `chat/completions` is routed there. The words about missing endpoints, copies and names are InvokeEndpoint's.
"""

from __future__ import annotations

import re

from infra.localaws.calls import ACCOUNT
from infra.localaws.errors import AwsError, Protocol, error_answer
from infra.localaws.http import Answer, Request
from infra.localaws.sagemaker import components, guardrails
from infra.localaws.sagemaker.hosting import Hosting, container_key, container_of
from infra.localaws.sagemaker.scaled import no_capacity
from infra.localaws.sagemaker.world import Endpoint, Region, Status
from infra.localaws.tokens import region_of

PATH = re.compile(r"/endpoints/([^/]+)(?:/inference-components/([^/]+))?/openai/v1/(.*)")
SERVING = (Status.IN_SERVICE, Status.UPDATING, Status.ROLLING_BACK)
NO_COPIES = (
    "Inference Component has no capacity to process this request. ApplicationAutoScaling may be in-progress (if "
    "configured) or try to increase the capacity by invoking UpdateInferenceComponentRuntimeConfig API."
)
NEEDS_COMPONENT = (
    "Inference Component Name header is required for endpoints to which you plan to deploy inference components. "
    "Please include Inference Component Name header or consider using SageMaker models."
)


def answer_chat(hosting: Hosting, request: Request) -> Answer | None:
    """The answer to a request for an endpoint's OpenAI URL; None for any other URL."""
    found = PATH.fullmatch(request.path)
    if found is None:
        return None
    name, component, rest = found.groups()
    try:
        named = region_of(request, "sagemaker", hosting.now(), hosting.around.moto.secret_of)
        if (request.method, rest) != ("POST", "chat/completions"):
            raise AwsError("UnknownOperationException", f"{request.method} {rest} is not routed", 404)
        with hosting.around.lock:
            region = hosting.region(named)
            endpoint = _endpoint(region, name)
            key = _container(hosting, region, endpoint, component)
    except AwsError as error:
        return error_answer(Protocol.REST_JSON, error)
    answer = hosting.around.containers.chat(key, request)
    if answer.status >= 500:
        with hosting.around.lock:
            guardrails.note_failure(hosting, region, endpoint)
    return answer


def _endpoint(region: Region, name: str) -> Endpoint:
    endpoint = region.endpoints.get(name)
    # "Case-insensitive in CreateEndpoint, but the case is preserved and must be matched in InvokeEndpoint" (reference)
    if endpoint is None or endpoint.name != name or endpoint.status not in SERVING:
        raise AwsError("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
    return endpoint


def _container(hosting: Hosting, region: Region, endpoint: Endpoint, component: str | None) -> str:
    """Under which key the container runs that is to answer."""
    if component is not None:
        return _copy(hosting, region, endpoint, component)
    config, variants = guardrails.serving(endpoint)
    for variant in variants:
        if container_of(region, variant) is not None or "ModelName" in variant.said:
            return container_key(region, endpoint, config, variant.name)
    raise AwsError("ValidationError", NEEDS_COMPONENT)


def _copy(hosting: Hosting, region: Region, endpoint: Endpoint, name: str) -> str:
    component = region.components.get(name)
    if component is None or component.endpoint != endpoint.name or component.status not in SERVING:
        raise AwsError("ValidationError", f"Inference Component {name} of account {ACCOUNT} not found.")
    if component.current == 0:
        no_capacity(hosting, region, component)
        raise AwsError("ValidationError", NO_COPIES)
    return components.key_of(region, component)
