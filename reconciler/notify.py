"""Telling systemd how the service is: ready, alive, stopping. Without systemd, nothing happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping


def notifier(environment: Mapping[str, str]) -> Callable[[str], None]:
    """Sends one message, see sd_notify(3), to the socket that NOTIFY_SOCKET names."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return lambda message: None

    def send(message: str) -> None:
        import socket

        # A name that begins with @ is in the abstract namespace, which the kernel writes as a NUL.
        target = "\0" + address[1:] if address.startswith("@") else address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)  # a supervisor that does not read must not stop the thread that keeps the leases
            try:
                channel.sendto(message.encode(), target)
            except OSError:
                return  # a supervisor that went away is no reason to end

    return send
