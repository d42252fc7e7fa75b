"""Finding the llama-server program, and what this build of it understands."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from drivers.errors import Denied
from drivers.llamacpp.settings import LlamaCppSettings

VARIABLE = "RECONCILE_LLAMA_SERVER"
_HOW = (
    "Install it (Debian and Ubuntu: apt install llama.cpp-tools; Homebrew: brew install llama.cpp; "
    "or build https://github.com/ggml-org/llama.cpp with `cmake -B build && cmake --build build -t llama-server`), "
    f"or name it in {VARIABLE}"
)


def find_server(settings: LlamaCppSettings) -> Path:
    """The program to run, as an absolute path. Raises Denied, with the ways to get one, where there is none."""
    import shutil

    named = settings.server or settings.environment.get(VARIABLE)
    if named:
        found = shutil.which(str(Path(named).expanduser()))
        if found is None:
            raise Denied(f"looking for llama-server: {named} is not a program that can be run. {_HOW}")
    else:
        found = shutil.which("llama-server", path=settings.environment.get("PATH", os.defpath))
        if found is None:
            raise Denied(f"looking for llama-server: it is not on the PATH. {_HOW}")
    return Path(found).absolute()


def knows(server: Path, option: str) -> bool:
    """Whether this build lists the option in its help: releases rename options, and an unknown one ends the server."""
    try:
        stamp = server.stat()
    except OSError:
        return False
    return option in _options(str(server), stamp.st_mtime_ns)


@lru_cache(maxsize=8)
def _options(server: str, mtime_ns: int) -> frozenset[str]:
    import re
    import subprocess

    try:
        text = subprocess.run(
            [server, "--help"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, env={"PATH": os.defpath}
        ).stdout.decode(errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()
    lines = (line for line in text.splitlines() if line.startswith("-"))
    return frozenset(option for line in lines for option in re.findall(r"(?<![\w-])--?[a-z][\w.-]*", line[:60]))
