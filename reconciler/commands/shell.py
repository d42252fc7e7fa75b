"""Commands for a person to copy: what a run says of how to go on."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence


def compose_command(files: Sequence[str], override: str, arguments: argparse.Namespace) -> str:
    """The user's own `docker compose` in words for a shell, with the file that we wrote behind their own."""
    given = (
        ("-p", [arguments.project_name] if arguments.project_name else []),
        ("--project-directory", [arguments.project_directory] if arguments.project_directory else []),
        ("--env-file", arguments.env_files),
        ("--profile", arguments.profiles),
        ("-f", [_short(file) for file in (*files, override)]),
    )
    return shlex.join(
        ["docker", "compose", *(word for flag, values in given for each in values for word in (flag, each))]
    )


def _short(path: str) -> str:
    """From here, where that is not further up."""
    near = os.path.relpath(path) if os.path.isabs(path) else path
    return path if near.startswith("..") else near
