"""git as a program that can do nothing but read objects, whatever the repository's own configuration says.

The repository is untrusted: `core.fsmonitor`, `core.sshCommand`, hooks and remote helpers in `.git/config` run
commands, replace refs swap contents, and a partial clone fetches over the network in the middle of a read. So the
environment is made from nothing, all of that is switched off, and every wait has an end.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence

from reconciler.errors import SourceError
from reconciler.supervise import kill_group, stop

_SAFE = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "protocol.file.allow=never"),
    *("-c", "core.bigFileThreshold=1m"),
)
_ENVIRONMENT = {
    "PATH": os.defpath,
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    # Older gits do not know the line above; no protocol at all comes to the same.
    "GIT_ALLOW_PROTOCOL": "none",
}


class Git:
    """Starts git in one directory. `trust_owner` accepts a repository that belongs to another user, which is the
    normal case in a container with a mounted checkout; git's own check stays on otherwise."""

    def __init__(self, directory: str, *, trust_owner: bool = False, timeout_s: float = 20.0) -> None:
        self.directory = directory
        self.timeout_s = timeout_s
        trust = ("-c", f"safe.directory={directory}") if trust_owner else ()
        self._options = (*_SAFE, *trust)

    def start(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """A git process with all three streams as pipes, in a process group of its own."""
        program = shutil.which("git")
        if program is None:
            raise SourceError("git is not installed: install it, or use `source: worktree`")
        try:
            return subprocess.Popen(
                [program, *self._options, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=self.directory,
                env=_ENVIRONMENT,
                start_new_session=True,
            )
        except OSError as exc:
            raise SourceError(f"{self.directory}: git could not be started: {exc.strerror}") from exc

    def ask(self, arguments: Sequence[str]) -> tuple[int, str, str]:
        """Exit status, output and complaint of a git command that answers with a line or two."""
        process = self.start(arguments)
        try:
            out, err = process.communicate(timeout=self.timeout_s)
        except subprocess.TimeoutExpired as exc:
            stop(process)
            raise SourceError(f"{self.directory}: git did not answer within {self.timeout_s:g} s") from exc
        return process.returncode, out.decode("utf-8", "replace").strip(), _words(err)


class ObjectReader:
    """Reads objects by id through one `git cat-file --batch`, started on first use and again when it died.

    Not for several threads at once: one pass at a time reads one source.
    """

    def __init__(self, git: Git, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._git = git
        self._monotonic = monotonic
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""

    def read(self, oid: str, limit: int) -> tuple[str, bytes]:
        """Type and content of an object. Raises SourceError, in git's own words, when it is missing or damaged, and
        when it is larger than `limit` bytes."""
        try:
            return self._read(oid, limit)
        except SourceError:
            self.close()  # the stream is at an unknown place
            raise

    def close(self) -> None:
        """End the process, if there is one; the next read starts another."""
        if self._process is not None:
            stop(self._process)
        self._process, self._buffer = None, b""

    def _read(self, oid: str, limit: int) -> tuple[str, bytes]:
        deadline = self._monotonic() + self._git.timeout_s
        process = self._ready()
        assert process.stdin is not None
        try:
            process.stdin.write(f"{oid}\n".encode())
        except OSError:
            raise self._failure(oid, "git ended") from None
        words = self._line(oid, deadline).decode("utf-8", "replace").split(" ")
        if len(words) != 3 or not words[2].isdigit():
            raise self._failure(oid, f"it is {words[-1]}")
        if int(words[2]) > limit:
            raise SourceError(
                f"{self._git.directory}: object {oid} has {words[2]} bytes, more than the {limit} allowed"
            )
        return words[1], self._take(oid, int(words[2]) + 1, deadline)[:-1]

    def _ready(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            self._process = self._git.start(["cat-file", "--batch"])
        return self._process

    def _line(self, oid: str, deadline: float) -> bytes:
        while b"\n" not in self._buffer:
            self._more(oid, deadline)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _take(self, oid: str, size: int, deadline: float) -> bytes:
        while len(self._buffer) < size:
            self._more(oid, deadline)
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _more(self, oid: str, deadline: float) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        stream = self._process.stdout.fileno()
        waiter = select.poll()
        waiter.register(stream, select.POLLIN)
        left_ms = max(0.0, deadline - self._monotonic()) * 1000
        if not waiter.poll(left_ms):
            raise SourceError(f"{self._git.directory}: git did not deliver {oid} within {self._git.timeout_s:g} s")
        data = os.read(stream, 1 << 18)
        if not data:
            raise self._failure(oid, "git ended")
        self._buffer += data

    def _failure(self, oid: str, otherwise: str) -> SourceError:
        complaint = ""
        if self._process is not None and self._process.stderr is not None:
            kill_group(self._process)
            complaint = _words(self._process.stderr.read())
        return SourceError(f"{self._git.directory}: object {oid} cannot be read: {complaint or otherwise}")


def _words(complaint: bytes) -> str:
    """git's own words as one line for people, without control characters, at most 500 characters."""
    text = " ".join(complaint.decode("utf-8", "replace").split())
    return "".join(letter for letter in text if letter.isprintable())[:500]
