"""A branch of a git checkout as source: the commit is read, never the work tree, so nothing is ever half-written.

The checkout's files, index, hooks and filters play no part. Only regular files of the commit exist; symbolic links
and submodules are refused, because what they lead to is not part of the commit.
"""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass
from pathlib import PurePosixPath

from reconciler.errors import InputError, Location, SourceError
from reconciler.source import LARGEST_FILE, Snapshot, reject_empty
from reconciler.source.gitprocess import Git, ObjectReader
from reconciler.source.refs import (
    FULL_ID,
    AskGit,
    Repository,
    check_ref,
    find_repository,
    is_shallow,
    ref_files,
    resolve_ref,
)

_LARGEST_TREE = 64 * 1024 * 1024
_TAG_CHAIN = 5
_TREE, _REGULAR, _SYMLINK, _SUBMODULE = "40000", ("100644", "100755", "100664"), "120000", "160000"


class GitSource:
    """The files under `subfolder` at `ref` of the repository that `checkout` belongs to (a work tree or a bare one).

    `trust_owner` accepts a repository that another user owns. One thread reads at a time; `head` may be called from
    any thread.
    """

    def __init__(
        self,
        checkout: str,
        ref: str = "HEAD",
        subfolder: str = "",
        *,
        trust_owner: bool = False,
        timeout_s: float = 20.0,
    ) -> None:
        self._checkout = os.path.abspath(checkout)
        self._ref = check_ref(ref)
        self._subfolder = _check_subfolder(subfolder)
        self._trust_owner = trust_owner
        self._timeout_s = timeout_s
        self._root = posixpath.normpath(posixpath.join(self._checkout, self._subfolder))
        self._objects: _Objects | None = None
        self._last: Snapshot | None = None

    def head(self) -> str:
        """The full id of the object that the ref names now. Raises SourceError when there is no such ref."""
        return self._resolve(find_repository(self._checkout))

    def read(self) -> Snapshot:
        """The commit that the ref names now. Costs a file read when it is the one of the last time."""
        repository = find_repository(self._checkout)
        oid = self._resolve(repository)
        objects = self._objects_of(repository)
        objects.rest()
        commit = objects.peel(oid)
        if self._last is None or self._last.revision != commit:
            self._last = self._snapshot(repository, objects, commit)
        return self._last

    def watch_paths(self) -> tuple[str, ...]:
        """The checkout itself, which may be replaced, and git's files that change when the ref does. Never fails."""
        try:
            return self._checkout, *ref_files(find_repository(self._checkout), self._ref)
        except SourceError:
            return self._checkout, os.path.join(self._checkout, ".git", "HEAD")

    def is_descendant(self, old: str, new: str) -> bool | None:
        """Whether the history of `new` contains `old`. False is a rewritten history; None means that it cannot be
        known: `old` is not here any more, or a shallow clone ends before it."""
        if FULL_ID.fullmatch(old) is None or FULL_ID.fullmatch(new) is None:
            return None
        if old == new:
            return True
        repository = find_repository(self._checkout)
        status, _, _ = self._git(repository).ask(["merge-base", "--is-ancestor", "--end-of-options", old, new])
        if status == 0:
            return True
        return False if status == 1 and not is_shallow(repository) else None

    def close(self) -> None:
        """End what runs for this source. It can be read again afterwards."""
        if self._objects is not None:
            self._objects.rest()

    def _git(self, repository: Repository) -> Git:
        return Git(repository.top, trust_owner=self._trust_owner, timeout_s=self._timeout_s)

    def _resolve(self, repository: Repository) -> str:
        try:
            return resolve_ref(repository, self._ref)
        except AskGit:
            asked = ["rev-parse", "--verify", "--end-of-options", f"{self._ref}^{{commit}}"]
            status, answer, complaint = self._git(repository).ask(asked)
        if status != 0 or FULL_ID.fullmatch(answer) is None:
            raise SourceError(f"{self._checkout}: there is no {self._ref}: {complaint or answer}")
        return answer

    def _objects_of(self, repository: Repository) -> _Objects:
        if self._objects is None or self._objects.repository != repository:
            self.close()
            self._objects = _Objects(repository, ObjectReader(self._git(repository)))
        return self._objects

    def _snapshot(self, repository: Repository, objects: _Objects, commit: str) -> Snapshot:
        objects.turn_over()
        inside = posixpath.relpath(os.path.realpath(self._checkout), repository.top)
        prefix = posixpath.normpath(posixpath.join(inside, self._subfolder))
        files = CommitFiles(objects, objects.tree_of(commit), self._root, prefix, commit[:12])
        files.check_root()
        return Snapshot(commit, files, self._root, f"{self._root} at {self._ref} ({commit[:12]})")


@dataclass(frozen=True, slots=True)
class _Entry:
    mode: str
    oid: str


class _Objects:
    """Objects of one repository by id. What the last two commits needed is kept: an object never changes."""

    def __init__(self, repository: Repository, reader: ObjectReader) -> None:
        self.repository = repository
        self._reader = reader
        self._kept: dict[str, tuple[str, bytes]] = {}
        self._older: dict[str, tuple[str, bytes]] = {}

    def rest(self) -> None:
        """Let the reading process go until the next object is wanted that is not kept."""
        self._reader.close()

    def turn_over(self) -> None:
        """A new commit begins: what neither it nor the last one needs is dropped."""
        self._kept, self._older = {}, self._kept

    def get(self, oid: str, kind: str, limit: int) -> bytes:
        """An object's content. Raises SourceError when it cannot be had or is of another kind."""
        found = self._kept.get(oid) or self._older.get(oid) or self._reader.read(oid, limit)
        self._kept[oid] = found
        if found[0] != kind:
            raise SourceError(f"{self.repository.top}: object {oid} is a {found[0]}, not a {kind}")
        return found[1]

    def peel(self, oid: str) -> str:
        """The commit itself, or the one that an annotated tag leads to."""
        for _ in range(_TAG_CHAIN):
            kind, content = self._kept.get(oid) or self._reader.read(oid, LARGEST_FILE)
            self._kept[oid] = kind, content
            if kind == "commit":
                return oid
            if kind != "tag":
                break
            oid = _header(content, b"object")
        raise SourceError(f"{self.repository.top}: {oid} does not lead to a commit")

    def tree_of(self, commit: str) -> str:
        return _header(self.get(commit, "commit", LARGEST_FILE), b"tree")

    def entry(self, tree: str, name: str) -> _Entry | None:
        """What a tree has under a name."""
        content, width = self.get(tree, "tree", _LARGEST_TREE), len(tree) // 2
        wanted, start = name.encode("utf-8", "surrogateescape"), 0
        while start < len(content):
            end = content.index(b"\0", start)
            mode, _, found = content[start:end].partition(b" ")
            start = end + 1 + width
            if found == wanted:
                return _Entry(mode.decode(), content[end + 1 : start].hex())
        return None


class CommitFiles:
    """The files of one commit, by the absolute path that they would have in a work tree at `root`."""

    def __init__(self, objects: _Objects, tree: str, root: str, prefix: str, commit: str) -> None:
        self._objects = objects
        self._tree = tree
        self._root = root
        self._prefix = prefix
        self._commit = commit

    def read(self, path: str) -> bytes:
        """A regular file's bytes. Raises FileNotFoundError, IsADirectoryError, InputError for a link or a path
        outside the checkout, SourceError when git cannot deliver it."""
        entry = self._find(path)
        if entry is None:
            raise FileNotFoundError(2, f"is not in commit {self._commit}", path)
        if entry.mode == _TREE:
            raise IsADirectoryError(21, f"is a directory in commit {self._commit}", path)
        return reject_empty(path, self._objects.get(entry.oid, "blob", LARGEST_FILE))

    def is_file(self, path: str) -> bool:
        """Whether there is a regular file. Links are refused here too: silence would let another file win. Outside the
        checkout nothing is ever there: who looks for a Compose file climbs up until there is no more folder."""
        if self._inside(path) is None:
            return False
        entry = self._find(path)
        return entry is not None and entry.mode in _REGULAR

    def check_root(self) -> None:
        """Raise SourceError when the project directory is not in the commit: then nothing is known."""
        entry = self._find(self._root)
        if entry is None or entry.mode != _TREE:
            raise SourceError(f"{self._root} is not a directory in commit {self._commit}")

    def _find(self, path: str) -> _Entry | None:
        entry = _Entry(_TREE, self._tree)
        for part in self._parts(path):
            if entry.mode != _TREE:
                return None
            found = self._objects.entry(entry.oid, part)
            if found is None:
                return None
            _refuse_links(path, found)
            entry = found
        return entry

    def _inside(self, path: str) -> str | None:
        """The path from the top of the checkout; None where it leads out of it."""
        inside = posixpath.normpath(posixpath.join(self._prefix, posixpath.relpath(path, self._root)))
        return None if inside == ".." or inside.startswith("../") else inside

    def _parts(self, path: str) -> tuple[str, ...]:
        inside = self._inside(path)
        if inside is None:
            raise InputError("lies outside the checkout; only files of the same commit are read", Location(path))
        return () if inside == "." else PurePosixPath(inside).parts


def _refuse_links(path: str, entry: _Entry) -> None:
    if entry.mode == _SYMLINK:
        raise InputError("is a symbolic link in the commit; commit the file itself", Location(path))
    if entry.mode == _SUBMODULE:
        raise InputError("is in a submodule, which is not part of the commit", Location(path))


def _header(content: bytes, name: bytes) -> str:
    """The object id in a commit's or tag's first line."""
    word, _, rest = content.partition(b" ")
    oid = rest.partition(b"\n")[0].decode("ascii", "replace")
    if word != name or FULL_ID.fullmatch(oid) is None:
        raise SourceError("a commit or tag of the repository is damaged")
    return oid


def _check_subfolder(subfolder: str) -> str:
    parts = PurePosixPath(subfolder).parts
    if subfolder.startswith("/") or ".." in parts:
        raise SourceError(f"{subfolder!r} is not a folder inside the checkout")
    return subfolder
