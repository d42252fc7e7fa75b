"""Are these bearer tokens good? As SageMaker and Bedrock make them: a presigned request in base64, checked down to its
signature (developer guide, "Invoke endpoints with OpenAI-compatible APIs"; aws-bedrock-token-generator)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, urlsplit

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from infra.localaws.calls import ACCESS_KEY, SECRET_KEY
from infra.localaws.errors import AwsError
from infra.localaws.http import Request

LONGEST_S = 12 * 3600
HOSTS = {"sagemaker": "sagemaker.amazonaws.com", "bedrock": "bedrock.amazonaws.com"}


SecretOf = Callable[[str], str | None]


class BadToken(AwsError):
    """Status 403, with the reason; AWS says less."""

    def __init__(self, reason: str) -> None:
        super().__init__("AccessDeniedException", f"The bearer token is not valid: {reason}", 403)


def _own_secret(access_key: str) -> str | None:
    return SECRET_KEY if access_key == ACCESS_KEY else None


def region_of(request: Request, service: str, now: datetime, secret_of: SecretOf = _own_secret) -> str:
    """The region that a request's bearer token was made for. Raises BadToken. `secret_of` knows more keys than the
    cloud's own: `Moto.secret_of`."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise BadToken("there is none")
    presigned = _decoded(token, service)
    said = dict(parse_qsl(urlsplit(f"https://{presigned}").query, keep_blank_values=True))
    if urlsplit(f"https://{presigned}").netloc != HOSTS[service]:
        raise BadToken(f"it is not for {HOSTS[service]}")
    if said.get("Action") != "CallWithBearerToken" or said.get("Version") != "1":
        raise BadToken("it is not a CallWithBearerToken of version 1")
    access_key, region = _scope(said, service)
    _check_time(said, now)
    secret = secret_of(access_key)
    if secret is None:
        raise BadToken("its access key is not known")
    if said.get("X-Amz-Signature") != _signature(said, service, region, Credentials(access_key, secret)):
        raise BadToken("its signature does not match")
    return region


def _decoded(token: str, service: str) -> str:
    prefix = f"{service}-api-key-"
    if not token.startswith(prefix):
        raise BadToken(f"it does not begin with {prefix}")
    try:
        return base64.b64decode(token.removeprefix(prefix), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as exc:
        raise BadToken("it is not base64") from exc


def _scope(said: Mapping[str, str], service: str) -> tuple[str, str]:
    """Access key and region of the credential."""
    parts = said.get("X-Amz-Credential", "").split("/")
    if len(parts) != 5 or parts[3:] != [service, "aws4_request"] or parts[1] != said.get("X-Amz-Date", "")[:8]:
        raise BadToken(f"its credential is not one for {service}")
    return parts[0], parts[2]


def _check_time(said: Mapping[str, str], now: datetime) -> None:
    try:
        signed = datetime.strptime(said.get("X-Amz-Date", ""), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        lasts_s = int(said.get("X-Amz-Expires", ""))
    except ValueError as exc:
        raise BadToken("it does not say from when to when it is good") from exc
    if not 0 < lasts_s <= LONGEST_S:
        raise BadToken("it is to last longer than 12 hours")
    if now >= signed + timedelta(seconds=lasts_s):
        raise BadToken("it has expired")


def _signature(said: Mapping[str, str], service: str, region: str, credentials: Credentials) -> str:
    """What the signature should be: made again, from all that was signed."""
    signed = {name: value for name, value in said.items() if name not in ("X-Amz-Signature", "Version")}
    query = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in signed.items())
    request = AWSRequest("POST", f"https://{HOSTS[service]}/?{query}", headers={"host": HOSTS[service]})
    request.context["timestamp"] = said["X-Amz-Date"]
    auth = SigV4QueryAuth(credentials, service, region)
    signature: str = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    return signature
