"""Asking an OpenAI-compatible server whether it is up, who it is, and whether its model really answers.

Values come back, exceptions do not: whatever goes wrong on the way is an answer with `ok=False` and a reason. Only
`http.client` is used, so no proxy of the environment is ever asked and no redirect followed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_BYTES = 4 << 20
"""More than any honest answer; the rest is not read."""

FEW_TOKENS = 16
"""The least that OpenAI's newer APIs take as a limit."""
_UNSUPPORTED = frozenset({404, 405, 501})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one question. `detail` is one stable sentence without secrets, empty when all is well."""

    ok: bool
    detail: str = ""
    status: int | None = None
    """The HTTP status; None where no whole answer came."""


@dataclass(frozen=True, slots=True)
class Models:
    """What a server says it serves."""

    names: frozenset[str] = frozenset()
    """Ids and aliases."""
    status: int | None = None


def health(url: str, *, path: str = "/health", timeout_s: float = 2.0) -> Answer:
    """Whether the server behind the base URL says it is well. A hung process accepts the connection and is silent."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    reply = _ask("GET", f"{parts.scheme}://{parts.netloc}{path}", None, None, timeout_s)
    return reply.answer("its health check")


def models(url: str, *, key: str | None = None, timeout_s: float = 5.0) -> Models:
    """The ids and aliases under `GET models` of a base URL that ends in `/v1/`."""
    reply = _ask("GET", f"{url}models", key, None, timeout_s)
    data = reply.json().get("data")
    names: set[str] = set()
    for entry in data if isinstance(data, list) else ():
        if isinstance(entry, dict):
            aliases = entry.get("aliases")
            listed = [entry.get("id"), *(aliases if isinstance(aliases, list) else ())]
            names.update(name for name in listed if isinstance(name, str))
    return Models(frozenset(names), reply.status)


def busy_slots(url: str, *, key: str | None = None, timeout_s: float = 2.0) -> int | None:
    """How many requests llama-server is answering, by its own `GET /slots`; None where it does not say."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    reply = _ask("GET", f"{parts.scheme}://{parts.netloc}/slots", key, None, timeout_s)
    try:
        slots = json.loads(reply.body) if reply.status == 200 else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(slots, list):
        return None
    return sum(isinstance(slot, dict) and slot.get("is_processing") is True for slot in slots)


def complete(url: str, model_id: str, *, key: str | None = None, prompt: str = "Hi", timeout_s: float = 20.0) -> Answer:
    """Have the model say one token, in a chat; where it has no chat template, as a plain completion."""
    chat: dict[str, object] = {"model": model_id, "messages": [{"role": "user", "content": prompt}]}
    reply = _ask("POST", f"{url}chat/completions", key, chat | {"max_tokens": 1}, timeout_s)
    if reply.status == 400 and (reply.blames("max_tokens") or reply.blames("max_completion_tokens")):
        # Models that reason want to be limited by another name, and some not to so little.
        reply = _ask("POST", f"{url}chat/completions", key, chat | {"max_completion_tokens": FEW_TOKENS}, timeout_s)
    if reply.status is not None and (reply.status in _UNSUPPORTED or reply.blames("template")):
        return continue_text(url, model_id, key=key, prompt=prompt, timeout_s=timeout_s)
    return reply.answer("a completion", bool(reply.first("choices")))


def continue_text(
    url: str, model_id: str, *, key: str | None = None, prompt: str = "Hi", timeout_s: float = 20.0
) -> Answer:
    """Have the model go on from a text by one token, without any chat template."""
    question = {"model": model_id, "max_tokens": 1, "prompt": prompt}
    reply = _ask("POST", f"{url}completions", key, question, timeout_s)
    return reply.answer("a completion", bool(reply.first("choices")))


def fill_template(url: str, *, key: str | None = None, timeout_s: float = 5.0) -> Answer:
    """Have llama-server fill in the model's chat template, which takes no inference."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    question = {"messages": [{"role": "user", "content": "Hi"}]}
    reply = _ask("POST", f"{parts.scheme}://{parts.netloc}/apply-template", key, question, timeout_s)
    return reply.answer("a chat template", isinstance(reply.json().get("prompt"), str))


def embed(url: str, model_id: str, *, key: str | None = None, text: str = "Hi", timeout_s: float = 20.0) -> Answer:
    """Have the model make one embedding."""
    reply = _ask("POST", f"{url}embeddings", key, {"model": model_id, "input": text}, timeout_s)
    return reply.answer("an embedding", bool(reply.first("data").get("embedding")))


def rerank(url: str, model_id: str, *, key: str | None = None, text: str = "Hi", timeout_s: float = 20.0) -> Answer:
    """Have the model judge one document."""
    question = {"model": model_id, "query": text, "documents": [text]}
    reply = _ask("POST", f"{url}rerank", key, question, timeout_s)
    return reply.answer("a reranking", bool(reply.first("results")))


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int | None = None
    body: bytes = b""
    trouble: str = ""

    def json(self) -> Mapping[str, Any]:
        try:
            found = json.loads(self.body) if self.body else {}
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def first(self, key: str) -> Mapping[str, Any]:
        """The first object of the list under `key`, or nothing."""
        found = self.json().get(key)
        return found[0] if isinstance(found, list) and found and isinstance(found[0], dict) else {}

    def blames(self, word: str) -> bool:
        return self.status is not None and self.status >= 400 and word.encode() in self.body.lower()

    def answer(self, question: str, holds_it: bool = True) -> Answer:
        if self.status is None:
            return Answer(False, f"{question} got no answer: {self.trouble}")
        if not 200 <= self.status < 300:
            return Answer(False, f"{question} was answered with HTTP {self.status}{self._reason()}", self.status)
        if not holds_it:
            return Answer(False, f"{question} was answered with something else", self.status)
        return Answer(True, "", self.status)

    def _reason(self) -> str:
        error = self.json().get("error")
        message = error.get("message") if isinstance(error, dict) else error
        if not isinstance(message, str):
            return ""
        return ": " + "".join(c if c.isprintable() else " " for c in message)[:200]


def _ask(method: str, url: str, key: str | None, body: Mapping[str, object] | None, timeout_s: float) -> _Reply:
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    headers = {"Accept": "application/json", "Connection": "close"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    content = None
    if body is not None:
        content = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    try:
        connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
        try:
            connection.request(method, parts.path, content, headers)
            response = connection.getresponse()
            return _Reply(response.status, response.read(MOST_BYTES))
        finally:
            connection.close()
    except TimeoutError:
        return _Reply(trouble=f"nothing within {timeout_s:g} s")
    except (OSError, http.client.HTTPException, ValueError) as trouble:
        # ValueError: a header or URL that cannot be sent. Errno texts carry no address, so equal faults read equally.
        return _Reply(trouble=(trouble.strerror if isinstance(trouble, OSError) else None) or type(trouble).__name__)
