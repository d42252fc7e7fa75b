"""Whether a model answers at the URL that clients get, with a token or a key like theirs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlsplit

from drivers import probe
from drivers.aws.bedrock import doors
from drivers.aws.bedrock.doors import Door
from drivers.aws.bedrock.keys import SECRET, Keys, wants_key
from drivers.aws.bedrock.wish import API, MANTLE
from drivers.aws.clients import Clients
from drivers.aws.errors import edge
from drivers.aws.patience import share_s
from drivers.aws.place import Place
from drivers.aws.settings import AwsSettings
from drivers.base import Auth, Deployment, Endpoint
from drivers.errors import Denied, Rejected, Unavailable

LOOK_S, TOKEN_S = 15.0, 300
"""Seconds until the next try, and for which a token of a try is good."""
BUDGET_S = 9.0
"""For how long one look at many deployments begins new tries: all of it has thirty seconds, and the last try 18."""
_LONGEST_S = 18.0
LIST_S = 5.0
VIA = "via"
"""The key of the handle for the name of the interface endpoint that clients were pointed to."""


class Answering:
    """Asks models for one token each. What was asked in one look at many is not asked twice."""

    def __init__(self, settings: AwsSettings, clients: Clients, clock: Callable[[], datetime]) -> None:
        self._settings, self._clients, self._clock = settings, clients, clock
        self._keys, self._began = Keys(settings, clients), clock()
        self._asked: dict[tuple[Place, str, str, str, str], probe.Answer] = {}
        self._doors: dict[tuple[Place, str], list[doors.Row]] = {}

    def endpoint(self, deployment: Deployment, place: Place, sends: str) -> Endpoint:
        """Where clients reach the model."""
        url = self.url(deployment, place)
        if wants_key(deployment.spec):
            file = self._keys.file(deployment, place)
            return Endpoint(url=url, model_id=sends, auth=Auth.API_KEY, key_file=str(file))
        return Endpoint(url=url, model_id=sends, auth=Auth.PLATFORM)

    def ask(self, deployment: Deployment, place: Place, sends: str, patience_s: float = _LONGEST_S) -> probe.Answer:
        """What came of a real completion."""
        url, prompt = self.url(deployment, place), deployment.spec.options.get("cloud.health-prompt", "Hi")
        key = (place, url, sends, prompt, deployment.spec.options.get(SECRET, ""))
        if key not in self._asked:
            if (self._clock() - self._began).total_seconds() > BUDGET_S:
                return probe.Answer(False, "it is asked at the next look")
            self._asked[key] = probe.complete(
                url,
                sends,
                key=self._bearer(deployment, place),
                prompt=prompt,
                timeout_s=share_s(min(self._settings.answer_timeout_s, patience_s)),
            )
        return self._asked[key]

    def listed(self, deployment: Deployment, place: Place) -> probe.Models:
        """The ids that the URL itself lists."""
        url, bearer = self.url(deployment, place), self._bearer(deployment, place)
        return probe.models(url, key=bearer, timeout_s=share_s(LIST_S))

    def _bearer(self, deployment: Deployment, place: Place) -> str:
        """What a client would send."""
        if wants_key(deployment.spec):
            return self._keys.file(deployment, place).read_text(encoding="utf-8").strip()
        return self._clients.token(place, "bedrock", TOKEN_S, self._clock()).text

    def door(self, deployment: Deployment, place: Place) -> Door:
        """Where requests enter AWS: the endpoint that the deployment was given, else one as the file asks for. Raises
        Denied where there is none."""
        if not doors.is_private(deployment.spec):
            return Door()
        service = "bedrock-mantle" if _is_mantle(deployment) else "bedrock-runtime"
        asked = doors.wanted(deployment.spec, self._settings, service, self._clients.region(place))
        rows = self._endpoints(place, asked.service)
        remembered = deployment.handle.get(VIA)
        return doors.again(rows, remembered) if remembered else doors.chosen(rows, asked)

    def _endpoints(self, place: Place, service: str) -> list[doors.Row]:
        """All interface endpoints of a service that the account has there, listed once."""
        key = (place, service)
        if key not in self._doors:
            with edge(f"looking for an interface endpoint of {service}"):
                pages = self._clients(place, "ec2").reads.get_paginator("describe_vpc_endpoints")
                found = pages.paginate(Filters=[{"Name": "service-name", "Values": [service]}])
                self._doors[key] = [row for page in found for row in page["VpcEndpoints"]]
        return self._doors[key]

    def url(self, deployment: Deployment, place: Place) -> str:
        """The base URL: of bedrock-runtime, or of bedrock-mantle where the file asks for it."""
        client = self._clients(place, "bedrock-runtime")
        via = deployment.handle.get(VIA) if doors.is_private(deployment.spec) else ""
        host = self.door(deployment, place).host if via is None else via
        return base_url(client.reads.meta.endpoint_url, client.region, _is_mantle(deployment), host)


def _is_mantle(deployment: Deployment) -> bool:
    return deployment.spec.options.get(API) == MANTLE


def base_url(runtime: str, region: str, mantle: bool, via: str = "") -> str:
    """From the SDK's own address of bedrock-runtime, which also knows of other partitions and of overrides. `via` is
    the name of an interface endpoint, which takes the host's place."""
    runtime = runtime.rstrip("/")
    if via:
        parts = urlsplit(runtime)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{via}{port}/{'' if mantle else 'openai/'}v1/"
    if not mantle:
        return f"{runtime}/openai/v1/"
    if runtime == f"https://bedrock-runtime.{region}.amazonaws.com":
        return f"https://bedrock-mantle.{region}.api.aws/v1/"
    return f"{runtime}/v1/"


def require_listed(model: str, region: str, said: probe.Models) -> None:
    """Return where the URL lists a model. Raises what says whether the file, the credentials or time must mend it."""
    if model in said.names:
        return
    if said.status in (401, 403):
        raise Denied(unlisted(region, said))
    if said.status != 200:
        raise Unavailable(unlisted(region, said))
    known = ", ".join(sorted(said.names)) or "none"
    raise Rejected(f"bedrock-mantle lists no model {model} in {region} (it lists {known})")


def unlisted(region: str, said: probe.Models) -> str:
    """Why bedrock-mantle listed no models; empty where it did."""
    if said.status in (401, 403):
        actions = "bedrock-mantle:CallWithBearerToken and bedrock-mantle:ListModels"
        return f"bedrock-mantle refused our token in {region}: grant {actions}"
    if said.status != 200:
        return f"bedrock-mantle did not list its models in {region} (HTTP {said.status or 'nothing'})"
    return ""
