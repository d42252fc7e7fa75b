"""A key in a private file of this host, for the services that are to send it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_key(path: Path, key: str) -> None:
    """The key as the file's first line, mode 0600; whoever reads it meanwhile sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(f"{key}\n")
        out.flush()
        os.fsync(out.fileno())
    draft.replace(path)
