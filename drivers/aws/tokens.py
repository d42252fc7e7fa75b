"""Bearer tokens for the OpenAI-compatible URLs of SageMaker and Bedrock, made offline from the credentials at hand.

A token is a presigned request in base64: nothing is asked, nothing is stored, and it ends with the credentials it was
made from, after twelve hours at most. Sources:
docs.aws.amazon.com/sagemaker/latest/dg/realtime-endpoints-openai-compatible.html and
github.com/aws/aws-bedrock-token-generator-python.
"""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

LONGEST_S = 12 * 3600


class _Recipe(NamedTuple):
    host: str
    prefix: str


RECIPES = {
    "sagemaker": _Recipe("sagemaker.amazonaws.com", "sagemaker-api-key-"),
    "bedrock": _Recipe("bedrock.amazonaws.com", "bedrock-api-key-"),
}


def mint(credentials: Any, service: str, region: str, *, expires_s: int = 3600) -> str:
    """A token for `sagemaker` or `bedrock` in one region. `credentials` are botocore's, frozen."""
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest

    recipe = RECIPES[service]
    request = AWSRequest(
        method="POST",
        url=f"https://{recipe.host}/",
        headers={"host": recipe.host},
        params={"Action": "CallWithBearerToken"},
    )
    SigV4QueryAuth(credentials, service, region, expires=min(expires_s, LONGEST_S)).add_auth(request)
    presigned = f"{request.url.removeprefix('https://')}&Version=1"
    return recipe.prefix + base64.b64encode(presigned.encode()).decode()
