"""One partial file on its way: continued where it was cut, hashed as it grows, never longer than announced."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from io import FileIO

from drivers.errors import Unavailable
from drivers.modelstore.artifact import Body, RemoteFile, Source

CHUNK = 1 << 20

Progress = Callable[[int], None]
"""Told how many bytes of the file are here."""


class Transfer:
    """A partial file, opened for reading and writing, and the state of its hash."""

    def __init__(self, out: FileIO, file: RemoteFile, progress: Progress) -> None:
        self.done = 0
        self._out, self._file, self._progress = out, file, progress
        self._hash = hashlib.sha256()

    def digest(self) -> str:
        """Of what is here so far."""
        return f"sha256:{self._hash.hexdigest()}"

    def rehash(self) -> None:
        """Take up what an earlier attempt left."""
        while chunk := self._out.read(CHUNK):
            self._hash.update(chunk)
            self.done += len(chunk)
        if self.done > self._file.size:
            self._restart()
        self._progress(self.done)

    def advance(self, source: Source) -> bool:
        """Read on until the end, True, or until the connection breaks, Unavailable."""
        if self.done == self._file.size:
            return True
        body = source.open(self._file, {"Range": f"bytes={self.done}-"} if self.done else {})
        try:
            self._place(body)
            while self.done < self._file.size:
                chunk = body.read(min(CHUNK, self._file.size - self.done))
                if not chunk:
                    raise Unavailable(f"the transfer of {self._file.digest} broke off")
                self._write(chunk)
        finally:
            body.close()
        return True

    def _place(self, body: Body) -> None:
        """Go to where the answer begins, which is the source's choice: not every server resumes."""
        if body.status == 206 and (body.header("Content-Range") or "").startswith(f"bytes {self.done}-"):
            expected = self._file.size - self.done
        else:
            self._restart()
            if body.status != 200:
                raise Unavailable(f"the source does not continue {self._file.digest} where it broke off")
            expected = self._file.size
        length = body.header("Content-Length")
        if length is not None and length.strip() != str(expected):
            raise Unavailable(
                f"the source sends {length[:20]} bytes of {self._file.digest} where {expected} belong: refused"
            )

    def _restart(self) -> None:
        self._out.seek(0)
        self._out.truncate()
        self._hash, self.done = hashlib.sha256(), 0

    def _write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            view = view[self._out.write(view) :]
        self._hash.update(chunk)
        self.done += len(chunk)
        self._progress(self.done)
