"""A small HTTP server that answers as a function says, for the faults that no real server shows on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import NamedTuple


class Request(NamedTuple):
    """What a server was asked."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Reply(NamedTuple):
    """What a scripted server answers. `cut_after` breaks the connection off after so many bytes of the body, `hold`
    keeps it open and silent until the event is set."""

    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""
    cut_after: int | None = None
    hold: threading.Event | None = None


class Scripted(NamedTuple):
    """A running scripted server and what it was asked so far."""

    host: str
    requests: list[Request]


@contextmanager
def scripted_server(answer: Callable[[Request], Reply], *, address: str = "127.0.0.1") -> Iterator[Scripted]:
    """An HTTP server that answers as the function says."""
    requests: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(self.command, self.path, dict(self.headers.items()), body)
            requests.append(request)
            _send(self, answer(request))

        do_POST = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer((address, 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Scripted(f"{address}:{server.server_port}", requests)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def _send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    handler.send_response(reply.status)
    for name, value in reply.headers.items():
        handler.send_header(name, value)
    if "Content-Length" not in reply.headers:
        handler.send_header("Content-Length", str(len(reply.body)))
    handler.send_header("Connection", "close")
    handler.end_headers()
    with suppress(OSError):  # the client may have had enough
        handler.wfile.write(reply.body if reply.cut_after is None else reply.body[: reply.cut_after])
        if reply.hold:
            handler.wfile.flush()
            reply.hold.wait(60)
