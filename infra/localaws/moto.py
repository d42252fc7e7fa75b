"""moto behind everything that no overlay answers: one WSGI application per service, and a reset that costs little."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from typing import Any

# moto reads these when it makes a backend: images and instances' start-up data are slow, and nobody here asks for them.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")

from moto.core.base_backend import BackendDict
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from infra.localaws.calls import ACCESS_KEY, ACCOUNT, SECRET_KEY, Call
from infra.localaws.errors import AwsError, error_answer
from infra.localaws.http import Answer, Request

_IN_USE: list[Any] = BackendDict._instances  # type: ignore[misc]  # moto's own list of what a reset has to look at


class Moto:
    """moto, called in this process. Its state is one per process, so there is one cloud per process."""

    def __init__(self) -> None:
        self._application = DomainDispatcherApplication(create_backend_app)

    def answer(self, call: Call) -> Answer:
        """What moto makes of a call; an operation that it does not have is refused once, plainly, not with a 500 that
        an SDK would try again and again."""
        try:
            return self._called(call.request)
        except NotImplementedError as exc:
            error = AwsError("NotImplemented", f"the local cloud has no {call.name}: {exc}")
            return error_answer(call.protocol, error)

    def _called(self, request: Request) -> Answer:
        given: list[Any] = []
        pieces = self._application(_environ(request), lambda status, headers, _=None: given.extend((status, headers)))
        try:
            body = b"".join(pieces)
        finally:
            if hasattr(pieces, "close"):
                pieces.close()
        return Answer(int(given[0].split()[0]), dict(given[1]), body)

    def secret_of(self, access_key: str) -> str | None:
        """The secret of a key of the account: the cloud's own, or one that IAM or STS gave to somebody; None for a
        stranger's."""
        if access_key == ACCESS_KEY:
            return SECRET_KEY
        users = (user for _, backend in self.backends("iam") for user in backend.users.values())
        mine = (key for user in users for key in user.access_keys)
        lent = (role for _, backend in self.backends("sts") for role in backend.assumed_roles)
        return next((str(key.secret_access_key) for key in (*mine, *lent) if key.access_key_id == access_key), None)

    def backends(self, service: str) -> Iterator[tuple[str, Any]]:
        """Region and backend of everything that this service was asked for; nothing is made by asking here."""
        for backend in _IN_USE:
            if backend.service_name == service and ACCOUNT in backend.keys():  # noqa: SIM118  `in` would make one
                yield from tuple(dict.items(backend[ACCOUNT]))

    def backend(self, module: str, region: str) -> Any:
        """The backend of a service in a region (of `moto.MODULE`), made if need be."""
        from moto.backends import get_backend

        return get_backend(module)[ACCOUNT][region]  # type: ignore[call-overload]

    def reset(self) -> None:
        """Forget all there is. moto's own reset first makes every backend anew and then throws it away."""
        for backend in _IN_USE:
            backend.clear()
        _IN_USE.clear()


def _environ(request: Request) -> dict[str, Any]:
    """The request as WSGI has it; the target as it came, since moto matches encoded paths."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path.encode().decode("latin-1"),
        "QUERY_STRING": request.query,
        "RAW_URI": request.target,
        "REQUEST_URI": request.target,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        # Some backends answer unknown lengths with an error, and a chunked body has arrived whole by now.
        "CONTENT_LENGTH": str(len(request.body)),
    }
    for name, value in request.headers.items():
        if name not in ("content-length", "transfer-encoding"):
            key = name.upper().replace("-", "_")
            environ["CONTENT_TYPE" if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    return environ
