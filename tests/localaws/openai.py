"""A client of the OpenAI-compatible URLs, with nothing but what a bearer token's recipe says."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from infra.localaws.calls import ACCESS_KEY, SECRET_KEY
from infra.localaws.localaws import Aws

LLM = "/endpoints/e1/openai/v1/chat/completions"


def presigned(
    service: str = "sagemaker",
    *,
    host: str | None = None,
    region: str = "us-east-1",
    access_key: str = ACCESS_KEY,
    secret: str = SECRET_KEY,
    expires_s: int = 3600,
    action: str = "CallWithBearerToken",
) -> str:
    """The signed URL in a token, without its scheme."""
    host = host or f"{service}.amazonaws.com"
    request = AWSRequest(method="POST", url=f"https://{host}/", headers={"host": host}, params={"Action": action})
    SigV4QueryAuth(Credentials(access_key, secret), service, region, expires=expires_s).add_auth(request)
    return str(request.url).removeprefix("https://") + "&Version=1"


def token(service: str = "sagemaker", **given: Any) -> str:
    return f"{service}-api-key-{base64.b64encode(presigned(service, **given).encode()).decode()}"


def ask(
    cloud: Aws, path: str = LLM, bearer: str | None = None, *, method: str = "POST", **body: Any
) -> tuple[int, Any]:
    """Status and answer of a chat completion, with a good token unless another is given."""
    status, data = _exchange(cloud, path, token() if bearer is None else bearer, method, body)
    return status, json.loads(b"".join(data))


def stream(cloud: Aws, path: str = LLM, **body: Any) -> tuple[str, ...]:
    """The data of all events of a streamed completion."""
    status, data = _exchange(cloud, path, token(), "POST", {"stream": True, **body})
    assert status == 200
    text = b"".join(data).decode()
    return tuple(line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: "))


def _exchange(cloud: Aws, path: str, bearer: str, method: str, body: Any) -> tuple[int, Iterator[bytes]]:
    said = {"model": "", "messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 4, **body}
    with closing(http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=60)) as connection:
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"} if bearer else {}
        connection.request(method, path, json.dumps(said), headers)
        answer = connection.getresponse()
        return answer.status, iter((answer.read(),))
