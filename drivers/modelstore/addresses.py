"""Which addresses a downloader may talk to, and where a server may send it."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import SplitResult

from drivers.errors import Denied

LONGEST_URL = 8192
_METADATA = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "168.63.129.16", "fd00:ec2::254")))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def check_address(host: str, address: Address, public_only: bool) -> None:
    """Denied for what nobody is ever sent to and, with `public_only`, for anything that is not the internet."""
    mapped = getattr(address, "ipv4_mapped", None)
    actual: Address = mapped or address
    if actual.is_link_local or actual.is_multicast or actual.is_unspecified or actual in _METADATA:
        raise Denied(f"{host} is {actual}, a link-local or metadata address: refused")
    if public_only and not actual.is_global:
        raise Denied(
            f"a public registry sent us to {host}, which is {actual}, an address of a private network: refused"
        )


def check_written_address(host: str, public_only: bool) -> None:
    """Check what is an address as it is written, in all the spellings a resolver takes: 2852039166, 0xa9fe.43518."""
    try:
        address: Address = ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return
    check_address(host, address, public_only)


def check_step(start: SplitResult, target: SplitResult) -> None:
    """Denied unless a server at `start` may send us to `target`."""
    host = start.hostname
    if target.scheme not in ("https", "http") or not target.hostname or len(target.geturl()) > LONGEST_URL:
        raise Denied(f"{host} sent us to an address that is no web address ({target.scheme or 'no scheme'}): refused")
    if start.scheme == "https" and target.scheme != "https":
        raise Denied(f"{host} sent us from https to http: refused")
    if target.username is not None:
        raise Denied(f"{host} sent us to an address with a user name in it: refused")
