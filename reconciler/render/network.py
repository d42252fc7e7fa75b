"""How a service sees an endpoint: the same server has another address in a container than on its host."""

from __future__ import annotations

from typing import NamedTuple

from drivers.base import Endpoint
from reconciler.compose.project import Binding, Project, Service
from reconciler.errors import Location
from reconciler.render.grammar import checked_url

HOST_GATEWAY = "host.docker.internal"
"""The name under which a container reaches its host, given `extra_hosts: host.docker.internal:host-gateway`."""


class Caution(NamedTuple):
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
        url = checked_url(endpoint.url)
        if self._mode == "none":
            self._warn(binding, "cannot be reached: the service has `network_mode: none`")
            return endpoint.url
        if not endpoint.on_this_host:
            return endpoint.url
        if self._mode == "host":
            return host_url(endpoint)
        if _is_loopback(url.host):
            self._warn(binding, f"listens on {url.host} only, which a container cannot reach; {_REMEDY}")
        if self._shares_a_container():
            # Compose refuses extra_hosts here, so the gateway's name would lead nowhere.
            if url.host in _EVERYWHERE:
                self._warn(binding, f"has no address but {url.host}, which leads a container to itself; {_REMEDY}")
            return endpoint.url
        self.used_gateway = True
        return str(url._replace(host=HOST_GATEWAY))

    def _shares_a_container(self) -> bool:
        return self._own_mode.startswith(("service:", "container:"))

    def _warn(self, binding: Binding, text: str) -> None:
        self.cautions.append(Caution(f"{who(self._service, binding)} {text}", binding.location))


_REMEDY = "let it listen on the address of Docker's bridge, or give the service `network_mode: host`"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


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
    url = checked_url(endpoint.url)
    if endpoint.on_this_host and url.host in _EVERYWHERE:
        return str(url._replace(host=_EVERYWHERE[url.host]))
    return endpoint.url


def _is_loopback(host: str) -> bool:
    if host.startswith("["):
        from ipaddress import AddressValueError, IPv6Address  # slow to import, and IPv6 is rare here

        try:
            return IPv6Address(host.strip("[]")).is_loopback
        except AddressValueError:
            return False
    return host == "localhost" or host.endswith(".localhost") or host.startswith("127.")


def who(service: Service, binding: Binding) -> str:
    return f"services.{service.name}.models.{binding.model}: the model's endpoint"
