"""What may stand in an environment: the grammar of names, URLs and model ids.

A platform's answer is not trusted: a URL with a line break in it would set `LD_PRELOAD` for whoever reads the file.
"""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit

# No userinfo, no query, no fragment, nothing that a shell, YAML, an env file or Compose could read as its own.
_URL = re.compile(
    r"https?://(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
    r"(?:/[A-Za-z0-9._~%:@+=-]*)*"
)
VARIABLE = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*")
_FORBIDDEN_IN_VALUES = frozenset("\"'`$\\")
RESERVED = re.compile(
    r"PATH|NODE_OPTIONS|BASH_ENV|ENV|IFS|PERL5OPT|RUBYOPT|JAVA_TOOL_OPTIONS|(?:LD_|DYLD_|PYTHON|DOCKER_).*",
    re.IGNORECASE,
)


def checked_url(url: str) -> str:
    if not _URL.fullmatch(url) or not 0 < (urlsplit(url).port or 1) < 65536:
        raise ValueError(f"an endpoint's URL is not one that may be written into an environment: {shown(url)}")
    return url


def checked_text(text: str) -> str:
    if not text or not text.isprintable() or " " in text or _FORBIDDEN_IN_VALUES & set(text):
        raise ValueError(f"an endpoint's model id is not one that may be written into an environment: {shown(text)}")
    return text


def shown(text: str) -> str:
    return json.dumps(text) if not VARIABLE.fullmatch(text) else text
