"""Many addresses of 127.0.0.0/8 to listen on, and one thread that does it: hundreds of machines cost little."""

from __future__ import annotations

import os
import random
import selectors
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from infra.localaws.http import Answer, Request, handle

Answering = Callable[[Request], Answer]


@dataclass(slots=True)
class _Door:
    listening: socket.socket
    answering: Answering
    connections: set[socket.socket] = field(default_factory=set)


class Listeners:
    """Addresses that answer. A connection is served by a thread of its own for as long as it stays open."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._doors: dict[tuple[str, int], _Door] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._waker, self._woken = socket.socketpair()

    def open(self, address: str, port: int, answering: Answering) -> None:
        """From now on requests to this address are answered."""
        made = socket.create_server((address, port), backlog=64)
        made.setblocking(False)
        with self._lock:
            self._doors[address, port] = _Door(made, answering)
            self._selector.register(made, selectors.EVENT_READ, (address, port))
            if self._thread is None:
                self._selector.register(self._woken, selectors.EVENT_READ, None)
                self._thread = threading.Thread(target=self._run, name="machines", daemon=True)
                self._thread.start()

    def close(self, address: str, port: int) -> None:
        """Nobody answers there any more; open connections end."""
        with self._lock:
            door = self._doors.pop((address, port), None)
            if door is None:
                return
            self._selector.unregister(door.listening)
            door.listening.close()
            for connection in tuple(door.connections):  # whoever served one takes it out meanwhile
                _hang_up(connection)

    def close_all(self) -> None:
        for address, port in tuple(self._doors):
            self.close(address, port)

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is not None:
                    self._accept(key.data)

    def _accept(self, where: tuple[str, int]) -> None:
        with self._lock:
            door = self._doors.get(where)
            if door is None:
                return
            try:
                connection, peer = door.listening.accept()
            except OSError:  # whoever came has gone
                return
            door.connections.add(connection)
        threading.Thread(target=self._serve, args=(door, connection, peer), daemon=True).start()

    def _serve(self, door: _Door, connection: socket.socket, peer: tuple[str, int]) -> None:
        connection.setblocking(True)
        try:
            handle(connection, peer, door.answering)
        except OSError:
            return
        finally:
            with self._lock:
                door.connections.discard(connection)
            connection.close()


def free_address(port: int) -> str:
    """An address on which nobody listens. At random, so that two clouds on one computer do not meet. Raises OSError
    where somebody listens on this port of all addresses."""
    chance = random.Random(os.urandom(8))
    for _ in range(100):
        address = f"127.{chance.randint(1, 254)}.{chance.randint(0, 255)}.{chance.randint(1, 254)}"
        with socket.socket() as probe:
            try:
                probe.bind((address, port))
            except OSError:
                continue
            return address
    raise OSError(f"port {port} is taken on every address of this computer: end what listens there")


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it is closed already
        return
