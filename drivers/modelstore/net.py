"""HTTP as a downloader of other people's files needs it: standard library, distrustful of where it is sent.

* An address is checked when it is connected to, so a name that changes its mind (DNS rebinding) gains nothing.
  Link-local and metadata addresses are never talked to; a redirect from a public host never leads to a private one.
* A secret goes to the origin it was meant for; a redirect to another origin does not get it. https never falls to http.
* `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` are honoured, because many build machines have no other way out. Through
  a proxy only the proxy sees addresses: names are then checked as they are written and the proxy must do the rest.

Imported only when something is transferred.
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from drivers.errors import Denied, Unavailable
from drivers.modelstore.addresses import check_address, check_step, check_written_address

MOST_REDIRECTS = 5
AGENT = "compose-model-reconciler"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Answer:
    """One HTTP answer, read as it comes. `url` is where it came from after redirects."""

    def __init__(self, response: http.client.HTTPResponse, connection: http.client.HTTPConnection, url: str) -> None:
        self.status = response.status
        self.url = url
        self.is_public: bool = getattr(connection, "is_public", True)
        """Whether a public address answered. Behind a proxy nobody knows: taken for public, the strict way."""
        self._response = response
        self._connection = connection

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def header(self, name: str) -> str | None:
        """A header's value, the first where there are several."""
        return self._response.getheader(name)

    def headers(self, name: str) -> list[str]:
        """All values of a header."""
        return self._response.headers.get_all(name) or []

    def read(self, count: int) -> bytes:
        """At most `count` bytes; empty at the end. Unavailable when the connection breaks."""
        try:
            return self._response.read(count)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"the transfer from {_host(self.url)} broke off: {_reason(error)}") from error

    def text(self, limit: int) -> bytes:
        """The whole body, which must not be longer than `limit` bytes."""
        parts: list[bytes] = []
        size = 0
        while part := self.read(min(1 << 16, limit + 1 - size)):
            parts.append(part)
            size += len(part)
            if size > limit:
                raise Unavailable(f"{_host(self.url)} answered with more than {limit} bytes where a short text belongs")
        return b"".join(parts)

    def retry_after_s(self) -> float | None:
        """What the server asks for, in seconds; dates are too rare to read."""
        value = (self.header("Retry-After") or "").strip()
        return float(value) if value.isascii() and value.isdigit() and len(value) < 7 else None

    def close(self) -> None:
        """Give the connection up."""
        self._response.close()
        self._connection.close()


@dataclass(frozen=True, slots=True)
class Http:
    """A client. `environ` holds the proxy settings; the timeouts are seconds without any byte."""

    environ: Mapping[str, str]
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 30.0

    def get(self, url: str, headers: Mapping[str, str] | None = None, *, secret: str | None = None) -> Answer:
        """Ask for `url`, following redirects; `secret` is the Authorization for its origin and for no other one."""
        return self._follow("GET", url, dict(headers or {}), None, secret, public_only=False)

    def get_as_told(self, url: str, told_by: Answer, *, secret: str | None = None, body: bytes | None = None) -> Answer:
        """Ask for a URL that `told_by`'s server chose, by a redirect's rules; with a body, POST it as a form."""
        start, target = urlsplit(told_by.url), urlsplit(urljoin(told_by.url, url))
        check_step(start, target)
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
        public_only = told_by.is_public
        return self._follow("POST" if body is not None else "GET", target.geturl(), headers, body, secret, public_only)

    def _follow(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None, secret: str | None, public_only: bool
    ) -> Answer:
        origin = _origin(urlsplit(url))
        for _ in range(MOST_REDIRECTS + 1):
            target = urlsplit(url)
            authorization = {"Authorization": secret} if secret and _origin(target) == origin else {}
            answer = self._ask(method, target, {**headers, **authorization}, body, public_only)
            location = answer.header("Location")
            if answer.status not in _REDIRECTS or not location:
                return answer
            public_only = public_only or answer.is_public
            answer.close()
            url = urljoin(url, location)
            check_step(target, urlsplit(url))
            method, body = "GET", None
        raise Unavailable(f"{origin[1]} redirects more than {MOST_REDIRECTS} times")

    def _ask(
        self, method: str, url: SplitResult, headers: dict[str, str], body: bytes | None, public_only: bool
    ) -> Answer:
        connection = self._connection(url, public_only)
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        if not path.isascii() or any(character <= " " for character in path):
            raise Denied(f"{url.hostname} sent us to an address with characters that no address has")
        if isinstance(connection, _ThroughProxy):
            path = f"http://{url.netloc}{path}"
            headers = {**headers, **connection.authorization}
        try:
            # Identity: bytes are counted and verified as they come, and a compressed bomb never unfolds.
            connection.request(method, path, body, {"User-Agent": AGENT, "Accept-Encoding": "identity", **headers})
            response = connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            raise _translated(url, error) from error
        answer = Answer(response, connection, url.geturl())
        if (response.getheader("Content-Encoding") or "identity").lower() != "identity":
            answer.close()
            raise Unavailable(f"{url.hostname} compresses what it was asked to send as it is")
        return answer

    def _connection(self, url: SplitResult, public_only: bool) -> http.client.HTTPConnection:
        host, port = url.hostname or "", url.port
        check_written_address(host, public_only)
        proxy = self._proxy(url)
        secure = url.scheme == "https"
        if proxy is None:
            kind = _Secure if secure else _Plain
            return kind(host, port, timeouts=(self.connect_timeout_s, self.read_timeout_s), public_only=public_only)
        if not secure:
            return _ThroughProxy(proxy, timeout=self.read_timeout_s)
        tunnel = http.client.HTTPSConnection(
            proxy.hostname or "", proxy.port or 80, timeout=self.read_timeout_s, context=ssl.create_default_context()
        )
        tunnel.set_tunnel(host, port or 443, headers=_proxy_authorization(proxy))
        return tunnel

    def _proxy(self, url: SplitResult) -> SplitResult | None:
        given = {key.lower(): value for key, value in self.environ.items() if key.lower().endswith("_proxy")}
        host = url.hostname or ""
        address = given.get(f"{url.scheme}_proxy")
        if not address or is_loopback(host):
            return None
        if _is_bypassed(host, given.get("no_proxy", "")):
            return None
        return urlsplit(address if "://" in address else f"http://{address}")


def is_loopback(host: str) -> bool:
    """Whether a host, as it is written, can only be this one: `localhost`, 127.0.0.0/8, ::1. A name such as
    `127.example.org` can be anybody."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _ThroughProxy(http.client.HTTPConnection):
    """A connection to a proxy that is asked for whole http URLs."""

    def __init__(self, proxy: SplitResult, *, timeout: float) -> None:
        super().__init__(proxy.hostname or "", proxy.port or 80, timeout=timeout)
        self.authorization = _proxy_authorization(proxy)


class _Plain(http.client.HTTPConnection):
    """A connection whose address is looked at before a byte is sent."""

    def __init__(self, host: str, port: int | None, *, timeouts: tuple[float, float], public_only: bool) -> None:
        super().__init__(host, port, timeout=timeouts[1])
        self._timeouts = timeouts
        self._public_only = public_only
        self.is_public = False

    def connect(self) -> None:
        self.sock, self.is_public = _dial(self.host, self.port, self._timeouts, self._public_only)


class _Secure(_Plain):
    """The same with TLS. `SSL_CERT_FILE` and `SSL_CERT_DIR` add an operator's own authorities."""

    default_port = http.client.HTTPS_PORT

    def connect(self) -> None:
        super().connect()
        self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


def _dial(host: str, port: int, timeouts: tuple[float, float], public_only: bool) -> tuple[socket.socket, bool]:
    """Connect to the first address that answers. All of them are checked before any is tried."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_, address in found:
        check_address(host, ipaddress.ip_address(str(address[0]).partition("%")[0]), public_only)
    failure: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in found:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(timeouts[0])
            connection.connect(address)
            connection.settimeout(timeouts[1])
        except OSError as error:
            connection.close()
            failure = error
            continue
        return connection, ipaddress.ip_address(str(address[0]).partition("%")[0]).is_global
    raise failure


def _proxy_authorization(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _is_bypassed(host: str, exceptions: str) -> bool:
    names = [name.strip().lower().lstrip("*").lstrip(".") for name in exceptions.split(",") if name.strip()]
    return "*" in exceptions.split(",") or any(name and (host == name or host.endswith("." + name)) for name in names)


def _origin(url: SplitResult) -> tuple[str, str, int]:
    return url.scheme, url.hostname or "", url.port or (443 if url.scheme == "https" else 80)


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _translated(url: SplitResult, error: Exception) -> Denied | Unavailable:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Denied(f"the certificate of {url.netloc} is not trusted ({error.verify_message}); see SSL_CERT_FILE")
    return Unavailable(f"{url.netloc} cannot be reached: {_reason(error)}")


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]
