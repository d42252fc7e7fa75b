"""What the operator decides about the local platform; nothing in here comes from a Compose file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

LOOPBACK = "127.0.0.1"
AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaCppSettings:
    """`run_root` is the platform: a folder of this user's with one folder per deployment in it."""

    run_root: Path
    server: Path | None = None
    """The llama-server to run; None looks into RECONCILE_LLAMA_SERVER and then along PATH."""
    bind: str = LOOPBACK
    """The address servers listen on; `auto` is the Docker bridge of this host, or loopback."""
    public: bool = False
    """Whether a Compose file may ask for `cloud.visibility=public`: a listener on every address of this host."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """The reconciler's own environment. Only RECONCILE_LLAMA_SERVER and PATH are read; servers never inherit it."""
    health_timeout_s: float = 2.0
    """Seconds a server has for its health check; a hung one accepts the connection and is silent."""
    answer_timeout_s: float = 20.0
    """Seconds a model has for one token or one embedding, when that decides."""
    server_environment: Mapping[str, str] = field(default_factory=dict)
    """What the operator adds to the environment of every server, such as LD_LIBRARY_PATH for a GPU's libraries."""

    def address(self) -> str:
        """The address to listen on, with `auto` resolved."""
        if self.bind != AUTO:
            return self.bind
        return bridge_address() or LOOPBACK


def is_loopback(address: str) -> bool:
    """Whether only this host can reach the address."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def bridge_address(interface: str = "docker0") -> str | None:
    """The IPv4 address of a network interface of this host, None where there is no such interface."""
    import fcntl
    import socket
    import struct

    get_address = 0x8915  # SIOCGIFADDR, see netdevice(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            reply = fcntl.ioctl(sock.fileno(), get_address, struct.pack("256s", interface.encode()[:15]))
        except OSError:
            return None
    return socket.inet_ntoa(reply[20:24])
