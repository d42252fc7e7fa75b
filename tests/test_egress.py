"""The guard around the test suite itself holds."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.egress import stays_here


@pytest.mark.tries_to_leave
def test_a_connection_out_of_this_machine_fails() -> None:
    with socket.socket() as plain, pytest.raises(OSError, match="do not leave this machine"):
        plain.connect(("192.0.2.1", 80))


@pytest.mark.tries_to_leave
def test_a_name_is_not_even_looked_up() -> None:
    with pytest.raises(OSError, match=r"went to registry\.invalid"):
        socket.create_connection(("registry.invalid", 443))


@pytest.mark.tries_to_leave
def test_threads_are_guarded_too() -> None:
    seen: list[OSError] = []

    def connect() -> None:
        try:
            socket.create_connection(("198.51.100.7", 443), timeout=1)
        except OSError as exc:
            seen.append(exc)

    thread = threading.Thread(target=connect)
    thread.start()
    thread.join()
    assert "do not leave this machine" in str(seen[0])


def test_loopback_works() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "172.17.0.1", "172.31.255.1", "0.0.0.0"]
)
def test_this_host_is_allowed(host: str) -> None:
    assert stays_here(host)


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "192.168.1.1", "172.32.0.1", "172.15.9.9", "169.254.169.254", "docker.io", "fe80::1"]
)
def test_everything_else_is_not(host: str) -> None:
    assert not stays_here(host)
