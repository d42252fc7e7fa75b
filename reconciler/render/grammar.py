"""What may stand in an environment: the grammar of names, URLs and model ids.

A platform's answer is not trusted: a URL with a line break in it would set `LD_PRELOAD` for whoever reads the file.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

# No userinfo, no query, no fragment, nothing that a shell, YAML, an env file or Compose could read as its own.
_URL = (
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/[A-Za-z0-9._~%:@+=-]*)*)"
)
VARIABLE = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*")
# What a shell that reads an env file would not take as text: quotes, expansions, and the ends of commands.
_FORBIDDEN_IN_VALUES = frozenset("\"'`$\\;&|<>()")
RESERVED = re.compile(
    r"PATH|NODE_OPTIONS|BASH_ENV|ENV|IFS|PERL5OPT|RUBYOPT|JAVA_TOOL_OPTIONS|(?:LD_|DYLD_|PYTHON|DOCKER_).*",
    re.IGNORECASE,
)


class Url(NamedTuple):
    """A URL that may be written anywhere. `host` has its brackets, `port` is empty where none was given."""

    scheme: str
    host: str
    port: str
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}{':' if self.port else ''}{self.port}{self.path}"


def checked_url(url: str) -> Url:
    """The URL in its parts, or ValueError."""
    found = re.fullmatch(_URL, url)
    if found is None or not 0 < int(found["port"] or 80) < 65536:
        raise ValueError(f"an endpoint's URL is not one that may be written into an environment: {shown(url)}")
    return Url(found["scheme"], found["host"], found["port"] or "", found["path"])


def is_fit(text: str) -> bool:
    """Whether a model's id may be written into an environment, also into a file that a shell reads."""
    return bool(text) and text.isprintable() and " " not in text and not _FORBIDDEN_IN_VALUES & set(text)


def checked_text(text: str) -> str:
    """The model id, or ValueError."""
    if not is_fit(text):
        raise ValueError(f"an endpoint's model id is not one that may be written into an environment: {shown(text)}")
    return text


def shown(text: str) -> str:
    """The text as a message or a comment may quote it: on one line, and in quotes unless it is a plain word."""
    return json.dumps(text) if not VARIABLE.fullmatch(text) else text
