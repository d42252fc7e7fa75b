"""A source in memory: paths to bytes."""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import dirname

from reconciler.compose.load import LoadRequest, load
from reconciler.compose.project import Project

ROOT = "/work tree/demo"


class MemoryFiles:
    """`Files` over a dictionary of absolute paths."""

    def __init__(self, contents: Mapping[str, str | bytes]) -> None:
        self._contents = {path: text.encode() if isinstance(text, str) else text for path, text in contents.items()}
        self._directories = {"/"}
        for path in self._contents:
            while path != "/":
                path = dirname(path)
                self._directories.add(path)

    def read(self, path: str) -> bytes:
        if path in self._contents:
            return self._contents[path]
        if path in self._directories:
            raise IsADirectoryError(path)
        raise FileNotFoundError(path)

    def is_file(self, path: str) -> bool:
        return path in self._contents


def project(contents: str | bytes | Mapping[str, str | bytes], **request: object) -> Project:
    """Load from files below ROOT (one text is `compose.yaml`), in ROOT, with no variables unless given."""
    texts = {"compose.yaml": contents} if isinstance(contents, str | bytes) else contents
    files = MemoryFiles({path if path.startswith("/") else f"{ROOT}/{path}": text for path, text in texts.items()})
    return load(LoadRequest(**{"cwd": ROOT, "environment": {}, **request}), files)  # type: ignore[arg-type]
