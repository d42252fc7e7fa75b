"""Real git repositories for tests, made in a temporary directory and with nobody's configuration."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


class Repo:
    """A git repository with one branch, `main`, and a short way to commit files to it."""

    def __init__(self, path: Path, *, bare: bool = False) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main", *(("--bare",) if bare else ()))

    def git(self, *arguments: str, feed: bytes | None = None) -> str:
        """What a git command prints; a failure is a test's error."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env=_environment(), input=feed, capture_output=True, timeout=60
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def commit(self, files: dict[str, str | bytes], *, message: str = "a change") -> str:
        """Write files, commit everything, and return the commit's id."""
        for name, content in files.items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


def _environment() -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_AUTHOR_NAME": "Test",
        "GIT_AUTHOR_EMAIL": "test@example.org",
        "GIT_COMMITTER_NAME": "Test",
        "GIT_COMMITTER_EMAIL": "test@example.org",
    }
