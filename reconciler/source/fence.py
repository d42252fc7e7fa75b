"""Which files a project may make us read: those of its checkout, and what the user named.

A pull request is somebody else's text. Its `include`, its env files and its links could lead to the keys of whoever
runs a dry run on it, and into git's own folder, where CI keeps its token; and what is read may end up in a plan.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cached_property

from reconciler.compose.discover import FILE_NAMES
from reconciler.errors import InputError, Location


class Fence:
    """Around the checkouts that `root`, the Compose file found from there, and the folders of `files` are in; a folder
    that is in no checkout is a fence by itself. `named` are further files that may lie anywhere."""

    def __init__(self, root: str, files: Iterable[str], named: Iterable[str], home: str) -> None:
        self._root, self._files, self._home = root, tuple(files), home
        self._named = {*self._files, *named}

    def check(self, path: str) -> None:
        """Raise InputError for a path that leads outside, be it by a link."""
        if path in self._named:
            return
        real = os.path.realpath(path)
        folder = next((folder for folder in self._folders if f"{real}/".startswith(f"{folder.rstrip('/')}/")), None)
        if folder is None:
            raise InputError(f"lies outside {self._folders[0]}; {_REMEDY}", Location(path))
        if ".git" in real[len(folder) :].split("/"):
            raise InputError("lies in git's own folder, which is no part of a project", Location(path))

    @cached_property
    def _folders(self) -> tuple[str, ...]:
        """Found out when something is read: most commands need one look."""
        begins = [os.path.dirname(file) for file in self._files] or [_found_from(self._root)]
        return tuple(dict.fromkeys(self._checkout(os.path.realpath(begin)) for begin in (*begins, self._root)))

    def _checkout(self, folder: str) -> str:
        """The top of the checkout that a folder is in. A home folder that is kept in git is none."""
        above = folder
        while above != os.path.dirname(above):
            if above != self._home and os.path.exists(os.path.join(above, ".git")):
                return above
            above = os.path.dirname(above)
        return folder


_REMEDY = "only files of the checkout are read, and those that -f and --env-file name"


def _found_from(root: str) -> str:
    """The folder of the Compose file that is found from here upwards."""
    folder = root
    while not any(os.path.isfile(os.path.join(folder, name)) for name in FILE_NAMES):
        if folder == os.path.dirname(folder):
            return root
        folder = os.path.dirname(folder)
    return folder


def named_by(environment: Mapping[str, str], env_files: Iterable[str], cwd: str) -> tuple[str, ...]:
    """What the user named beside -f: env files, and the files of COMPOSE_FILE. All absolute."""
    listed = [*env_files, *environment.get("COMPOSE_ENV_FILES", "").split(",")]
    listed += environment.get("COMPOSE_FILE", "").split(environment.get("COMPOSE_PATH_SEPARATOR") or ":")
    user = environment.get("HOME", "")
    at_home = (user + name[1:] if user and name.startswith("~/") else name for name in listed if name)
    return tuple(os.path.normpath(os.path.join(cwd, name)) for name in at_home)
