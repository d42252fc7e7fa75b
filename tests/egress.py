"""A guard that makes every connection out of this machine fail, whoever in this process asks for it.

It is an audit hook of the interpreter, so it sees `socket.connect` and name look-ups of every library and thread, not
only those that go through a patched class. Allowed are loopback, Unix sockets and 172.16.0.0/12, where the bridges of
this host's own Docker engine are.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from collections.abc import Iterable
from typing import Any

BRIDGES = ipaddress.ip_network("172.16.0.0/12")
LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", ""})


class Egress:
    """Collects what was refused; `install` is for once per process, since audit hooks stay."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self._domains: tuple[str, ...] = ()
        self._networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
        self._led_to: set[str] = set()

    def install(self) -> None:
        sys.addaudithook(self._hook)

    def open_to(
        self, domains: Iterable[str], networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network] = ()
    ) -> None:
        """Let names of these domains be looked up and what they lead to be reached, and these networks. For
        `tests/live`, when a person has said so, and nobody else."""
        self._domains, self._networks = tuple(domains), tuple(networks)
        look_up = socket.getaddrinfo

        def looked_up(host: Any, *given: Any, **named: Any) -> Any:
            found = look_up(host, *given, **named)
            if self._is_open(_text(host)):
                self._led_to |= {str(each[4][0]) for each in found}
            return found

        socket.getaddrinfo = looked_up

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in ("socket.connect", "socket.sendto"):
            address = arguments[1]
            # A Unix socket's address is a path; netlink and the like are tuples of numbers.
            if isinstance(address, tuple) and address and isinstance(address[0], str | bytes):
                self._judge(address[0])
        elif event == "socket.getaddrinfo":
            self._judge(arguments[0])

    def _judge(self, host: object) -> None:
        name = _text(host)
        if name is None or (isinstance(name, str) and (stays_here(name) or self._is_open(name))):
            return
        self.refused.append(str(name))
        raise OSError(errno.ENETUNREACH, f"tests do not leave this machine, and this went to {name}")

    def _is_open(self, name: object) -> bool:
        if name in self._led_to or any(str(name).endswith(f".{domain}") for domain in self._domains):
            return True
        try:
            address = ipaddress.ip_address(str(name))
        except ValueError:
            return False
        return any(address in network for network in self._networks)


GUARD = Egress()
"""The one of this process."""


def _text(host: object) -> object:
    return host.decode("ascii", "replace") if isinstance(host, bytes) else host


def stays_here(host: str) -> bool:
    """Whether a host name or address is on this machine. A name that would need a look-up is not."""
    if host in LOCAL_NAMES or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified or address in BRIDGES
