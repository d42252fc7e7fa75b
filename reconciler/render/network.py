"""How a service sees an endpoint: the same server has another address in a container than on its host."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from drivers.base import Endpoint
from reconciler.compose.project import Binding, Project, Service
from reconciler.errors import Location
from reconciler.render.grammar import checked_url

HOST_GATEWAY = "host.docker.internal"
"""The name under which a container reaches its host, given `extra_hosts: host.docker.internal:host-gateway`."""


@dataclass(frozen=True, slots=True)
class Caution:
    """Something that was written all the same and will probably not work; the text says what would help."""

    text: str
    location: Location

    def __str__(self) -> str:
        return f"{self.location}: {self.text}"


class View:
    """How one service sees the endpoints, which depends on its network."""

    def __init__(self, project: Project, service: Service) -> None:
        self.cautions: list[Caution] = []
        self.used_gateway = False
        self._service = service
        self._own_mode = service.network_mode or "default"
        self._mode = _effective_mode(project, service)

    def url(self, binding: Binding, endpoint: Endpoint) -> str:
        parts = urlsplit(checked_url(endpoint.url))
        if self._mode == "none":
            self._warn(binding, "cannot be reached: the service has `network_mode: none`")
            return endpoint.url
        if not endpoint.on_this_host:
            return endpoint.url
        if self._mode == "host":
            return host_url(endpoint)
        if _is_loopback(parts.hostname or ""):
            self._warn(binding, f"listens on {parts.hostname} only, which a container cannot reach; {_REMEDY}")
        if self._shares_a_container():
            return endpoint.url  # Compose refuses extra_hosts here, so the name would lead nowhere.
        self.used_gateway = True
        return _with_host(parts, HOST_GATEWAY)

    def _shares_a_container(self) -> bool:
        return self._own_mode.startswith(("service:", "container:"))

    def _warn(self, binding: Binding, text: str) -> None:
        self.cautions.append(Caution(f"{who(self._service, binding)} {text}", binding.location))


_REMEDY = "let it listen on the address of Docker's bridge, or give the service `network_mode: host`"


def _effective_mode(project: Project, service: Service) -> str:
    """The network mode behind any chain of `service:` modes; the chain is followed once around at most."""
    mode = service.network_mode or "default"
    for _ in project.services:
        shared = project.services.get(mode.removeprefix("service:")) if mode.startswith("service:") else None
        if shared is None:
            break
        mode = shared.network_mode or "default"
    return mode


def host_url(endpoint: Endpoint) -> str:
    """The URL for a process of this host: one that listens everywhere is asked over loopback."""
    parts = urlsplit(checked_url(endpoint.url))
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
    if endpoint.on_this_host and parts.hostname in everywhere:
        return _with_host(parts, everywhere[parts.hostname])
    return endpoint.url


def _with_host(parts: SplitResult, host: str) -> str:
    port = f":{parts.port}" if parts.port is not None else ""
    return parts._replace(netloc=f"{host}{port}").geturl()


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def who(service: Service, binding: Binding) -> str:
    return f"services.{service.name}.models.{binding.model}: the model's endpoint"
