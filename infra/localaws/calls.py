"""Which API call a request is, and the journal of all calls that came."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs

from botocore.model import ServiceModel
from botocore.session import get_session

from infra.localaws.errors import Protocol
from infra.localaws.http import Request

ACCOUNT = "123456789012"
ACCESS_KEY = "AKIALOCALAWS00000000"
SECRET_KEY = "local/secret/of/the/cloud/on/loopback000"
"""The credentials that the cloud knows, like a user's; they open nothing anywhere else."""

SCOPES = {
    "monitoring": "cloudwatch",
    "elasticloadbalancing": "elbv2",
    "tagging": "resourcegroupstaggingapi",
    "servicequotas": "service-quotas",
}
"""Names in a signature that are not the SDK's name of the service."""
SHARED_SCOPES = {"bedrock": ("bedrock", "bedrock-runtime"), "sagemaker": ("sagemaker-runtime",)}
"""Services that sign with one name and say by their paths which of them is meant."""
_SCOPE = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")


@dataclass(frozen=True, slots=True)
class Call:
    """One API call. `number` counts from 1 since the journal was last emptied."""

    service: str
    operation: str
    region: str
    access_key: str
    protocol: Protocol
    request: Request
    parameters: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0
    account: str = ACCOUNT

    @property
    def name(self) -> str:
        return f"{self.service}.{self.operation}"

    def arn(self, rest: str) -> str:
        """`arn:aws:sagemaker:eu-west-1:123456789012:` and this."""
        return f"arn:aws:{self.service}:{self.region}:{self.account}:{rest}"


class Journal:
    """The names of all calls, in their order."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def add(self, call: Call) -> int:
        self.names.append(call.name)
        return len(self.names)

    def counts(self) -> dict[str, int]:
        return dict(Counter(self.names))

    def clear(self) -> None:
        self.names.clear()


def identify(request: Request) -> Call | None:
    """The call that a signed request is; None for a request that is none."""
    scope = _SCOPE.search(request.headers.get("authorization", ""))
    if scope is None:
        return None
    access_key, region, signed = scope.groups()
    service = SCOPES.get(signed, signed)
    if "x-amz-target" in request.headers:
        operation = request.headers["x-amz-target"].rpartition(".")[2]
        parameters = json.loads(request.body or b"{}")
        return Call(service, operation, region, access_key, Protocol.JSON, request, parameters)
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = {name: values[0] for name, values in parse_qs(request.body.decode(), keep_blank_values=True).items()}
        protocol = Protocol.EC2 if service == "ec2" else Protocol.QUERY
        return Call(service, form.get("Action", "?"), region, access_key, protocol, request, form)
    return _routed(request, service, region, access_key)


def _routed(request: Request, signed: str, region: str, access_key: str) -> Call:
    """A call of a REST service: its path and method say which."""
    for service in SHARED_SCOPES.get(signed, (signed,)):
        for operation, method, pattern in _routes(service):
            found = pattern.fullmatch(request.path.rstrip("/") or "/")
            if method == request.method and found:
                parameters = _rest_parameters(request, {k: v for k, v in found.groupdict().items() if v is not None})
                return Call(service, operation, region, access_key, _rest(service), request, parameters)
    return Call(signed, f"{request.method} {request.path}", region, access_key, _rest(signed), request)


def _rest_parameters(request: Request, in_path: Mapping[str, str]) -> dict[str, Any]:
    in_query = {name: values[0] if len(values) == 1 else values for name, values in parse_qs(request.query).items()}
    is_json = request.headers.get("content-type", "").startswith("application/json")
    in_body = json.loads(request.body) if is_json and request.body else {}
    return {**in_query, **(in_body if isinstance(in_body, dict) else {}), **in_path}


def _rest(service: str) -> Protocol:
    return Protocol.REST_XML if service in ("s3", "cloudfront", "route53") else Protocol.REST_JSON


@cache
def _routes(service: str) -> tuple[tuple[str, str, re.Pattern[str]], ...]:
    """Operation, method and path pattern of a REST service, the most specific path first."""
    if _rest(service) is Protocol.REST_XML:
        return ()  # buckets and keys: which operation it is hangs on the query, and nobody here asks
    try:
        model = service_model(service)
    except Exception as error:
        if type(error).__name__ != "UnknownServiceError":
            raise
        return ()
    rows = [(name, model.operation_model(name).http) for name in model.operation_names]
    rows.sort(key=lambda row: (row[1]["requestUri"].count("{"), -len(row[1]["requestUri"])))
    return tuple((name, http["method"], _pattern(http["requestUri"])) for name, http in rows)


def _pattern(uri: str) -> re.Pattern[str]:
    """`/inference-profiles/{inferenceProfileIdentifier}`; an identifier may be an ARN, with slashes in it."""
    path = uri.partition("?")[0].rstrip("/") or "/"
    return re.compile(re.sub(r"\\\{(\w+)\\\+?\\?\}", r"(?P<\1>.+?)", re.escape(path)))


@cache
def service_model(service: str) -> ServiceModel:
    """What botocore knows of a service. Raises UnknownServiceError."""
    return get_session().get_service_model(service)
