"""HTTP/1.1 as this cloud speaks it: a request and an answer as values, and the server on loopback that carries them.

Connections stay open between requests, as an SDK expects; a call costs well under a millisecond here.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


class Dropped(Exception):
    """The connection ends here, without an answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent. `headers` has lower-case names, `path` is decoded, `target` is as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    path: str = ""
    query: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What it gets; a body that is an iterator is sent piece by piece, as it comes."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterator[bytes] = b""


class Server:
    """Answers on 127.0.0.1 with `answer`, a thread per connection, from the moment it is made until `stop`."""

    def __init__(self, answer: Callable[[Request], Answer], port: int = 0) -> None:
        self._inner = _Inner(("127.0.0.1", port), answer)
        self.port: int = self._inner.server_port
        self._thread = threading.Thread(target=self._inner.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more answers; connections that are open are closed, so that no thread stays behind."""
        self._inner.shutdown()
        self._inner.server_close()
        self._thread.join()
        self._inner.hang_up()


def handle(connection: socket.socket, peer: tuple[str, int], answer: Callable[[Request], Answer]) -> None:
    """Serve one connection that somebody else has accepted, until it ends."""
    _Handler(connection, peer, _Bare(answer))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _Bare:
    """What a handler needs of a server."""

    answer: Callable[[Request], Answer]


class _Inner(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], answer: Callable[[Request], Answer]) -> None:
        self.answer = answer
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        with self._lock:
            for connection in self._open:
                _close(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of ours; anything else is, and shall be seen."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Inner

    def _serve(self) -> None:
        split = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, self._body(headers), unquote(split.path), split.query)
        try:
            self._send(self.server.answer(request))
        except Dropped:
            self.close_connection = True
            _close(self.connection)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _serve

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        return self.rfile.read(int(headers.get("content-length", 0)))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def handle_expect_100(self) -> bool:
        return True

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        if isinstance(answer.body, bytes):
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)
        else:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in answer.body:
                if piece:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nobody reads it."""


def _close(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it is closed already
        return
