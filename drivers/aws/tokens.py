"""Bearer tokens for the OpenAI-compatible URLs of SageMaker and Bedrock, made offline from the credentials at hand.

A token is a presigned request in base64: nothing is asked, nothing is stored, and it ends with the credentials it was
made from, after twelve hours at most. Sources:
docs.aws.amazon.com/sagemaker/latest/dg/realtime-endpoints-openai-compatible.html and
github.com/aws/aws-bedrock-token-generator-python.
"""

from __future__ import annotations

import base64
from bisect import bisect_left
from typing import Any, NamedTuple

LONGEST_S = 12 * 3600


class _Recipe(NamedTuple):
    host: str
    prefix: str


RECIPES = {
    "sagemaker": _Recipe("sagemaker.amazonaws.com", "sagemaker-api-key-"),
    "bedrock": _Recipe("bedrock.amazonaws.com", "bedrock-api-key-"),
}


def left_s(credentials: Any, most_s: int) -> int:
    """Whole seconds that credentials are still good for, of `most_s` that somebody wants them for.

    `credentials` are botocore's, not frozen. Those of an assumed role, of a single sign-on or of a machine know their
    end; of others nothing is known, and they count as good for long enough.
    """
    ends_within = getattr(credentials, "refresh_needed", None)
    if ends_within is None:
        return most_s
    # The end itself is not public; whether it comes within so many seconds is.
    return max(0, bisect_left(range(most_s + 1), True, key=lambda seconds: bool(ends_within(refresh_in=seconds))) - 1)


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
