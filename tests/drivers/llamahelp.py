"""What the installed llama-server says of its own options."""

from __future__ import annotations

import re
import subprocess
from functools import lru_cache
from typing import NamedTuple

from tests import parts

_NAME = re.compile(r"--?[A-Za-z][\w.-]*")
# `-t,    --threads N    number of …`: names with commas, then a value, then at least two blanks and the text.
_HEAD = re.compile(r"((?:--?[A-Za-z][\w.-]*,?\s+)*--?[A-Za-z][\w.-]*)(?: (\S.*?))?(?:\s{2,}|$)")


class Option(NamedTuple):
    """One entry of the help."""

    names: tuple[str, ...]
    value: str | None
    """What its value is called there, `N`, `FNAME`, `<0|1>`; None for a switch."""


@lru_cache(maxsize=1)
def options() -> tuple[Option, ...]:
    """All of them."""
    found = []
    for line in _help().splitlines():
        if line.startswith("-") and not line.startswith("---"):
            head = _HEAD.match(line)
            assert head is not None, line
            found.append(Option(tuple(_NAME.findall(head[1])), head[2]))
    return tuple(found)


def _help() -> str:
    return subprocess.run([parts.llama_server(), "--help"], capture_output=True, timeout=60).stdout.decode()
