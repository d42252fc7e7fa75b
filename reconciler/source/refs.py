"""Which commit a ref names, read from git's own files: no process, some tens of microseconds.

It is asked on every poll and every file event, so starting git (3 ms and a fork) is kept for what only git can
read, such as a reftable. What is read here is replaced by git with a rename and therefore never seen half-written.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from reconciler.errors import SourceError

FULL_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+=#@,%-]{0,254}")
_PER_WORKTREE = ("refs/bisect/", "refs/worktree/", "refs/rewritten/")
_KINDS = ("heads", "remotes", "tags")
_LINK_DEPTH = 5
_NO_REF_FILES = "refs/heads/.invalid"
"""What HEAD says in a repository that keeps its refs in a reftable."""


class AskGit(Exception):
    """These files do not tell; git itself must be asked."""


@dataclass(frozen=True, slots=True)
class Repository:
    """Where a repository keeps its things. All paths are absolute and free of symbolic links."""

    top: str
    """The directory that the paths in a commit are relative to; the git directory itself when bare."""
    git_dir: str
    common_dir: str
    """The same as `git_dir`, except in a linked work tree."""


def check_ref(ref: str) -> str:
    """The ref, if it can only be the name of one. Raises SourceError for options, ranges and other expressions."""
    clean = not (".." in ref or "@{" in ref or "//" in ref or "/." in ref or ref.endswith((".lock", "/", ".")))
    if _REF.fullmatch(ref) is None or not clean:
        raise SourceError(f"{ref!r} is not a ref: name a branch, a tag, HEAD or a full commit id")
    return ref


def find_repository(checkout: str) -> Repository:
    """The repository that a directory belongs to. Raises SourceError when there is none."""
    start = os.path.realpath(checkout)
    if not os.path.isdir(start):
        raise SourceError(f"{checkout} is not there: the checkout is missing or not mounted")
    directory = start
    while True:
        found = _repository_at(directory)
        if found is not None:
            return found
        parent = os.path.dirname(directory)
        if parent == directory:
            raise SourceError(f"{checkout} is not in a git repository (use `source: worktree` for plain files)")
        directory = parent


def resolve_ref(repository: Repository, ref: str) -> str:
    """The full object id that a checked ref names: a commit, or an annotated tag that leads to one.

    A short name is looked for among branches first, then remote branches, then tags; git itself prefers tags, which
    would let a new tag called `main` take over a branch of that name.
    """
    if FULL_ID.fullmatch(ref):
        return ref
    if ref == "HEAD" or ref.startswith("refs/"):
        found = _lookup(repository, ref, _LINK_DEPTH)
    else:
        places = (f"refs/{kind}/{ref}" for kind in _KINDS)
        found = next((oid for place in places if (oid := _lookup(repository, place, _LINK_DEPTH))), None)
    if found is None:
        if _keeps_reftable(repository):
            raise AskGit
        raise SourceError(f"{repository.top}: there is no {ref}: the branch was deleted, or has no commit yet")
    return found


def ref_files(repository: Repository, ref: str) -> tuple[str, ...]:
    """Every file that a change of the ref would touch, present or not: what a watcher must look at."""
    names = (ref,) if ref == "HEAD" or ref.startswith("refs/") else tuple(f"refs/{kind}/{ref}" for kind in _KINDS)
    if ref == "HEAD":
        target = (_text(os.path.join(repository.git_dir, "HEAD")) or "").removeprefix("ref:").strip()
        names = (target,) if target.startswith("refs/") else ()
    # The logs are written a moment before the ref is renamed into place. Events of a rename can reach us half a second
    # late, when watchdog waits for its second half; one in a hundred did.
    logs = tuple(f"logs/{name}" for name in names)
    shared = (*names, *logs, "packed-refs", "reftable/tables.list")
    return (
        os.path.join(repository.git_dir, "HEAD"),
        os.path.join(repository.git_dir, "logs", "HEAD"),
        *(os.path.join(repository.common_dir, name) for name in shared if ".." not in name),
    )


def is_shallow(repository: Repository) -> bool:
    """True when history was cut off, so that "not an ancestor" proves nothing."""
    return os.path.exists(os.path.join(repository.common_dir, "shallow"))


def _repository_at(directory: str) -> Repository | None:
    dot_git = os.path.join(directory, ".git")
    if os.path.isdir(dot_git):
        return Repository(directory, os.path.realpath(dot_git), _common(os.path.realpath(dot_git)))
    if os.path.isfile(dot_git):
        text = _text(dot_git) or ""
        if not text.startswith("gitdir:"):
            raise SourceError(f"{dot_git} is not a git file")
        git_dir = os.path.realpath(os.path.join(directory, text.removeprefix("gitdir:").strip()))
        return Repository(directory, git_dir, _common(git_dir))
    if all(os.path.exists(os.path.join(directory, part)) for part in ("HEAD", "objects", "refs")):
        return Repository(directory, directory, directory)
    return None


def _common(git_dir: str) -> str:
    pointer = _text(os.path.join(git_dir, "commondir"))
    return git_dir if pointer is None else os.path.realpath(os.path.join(git_dir, pointer.strip()))


def _lookup(repository: Repository, ref: str, depth: int) -> str | None:
    # Loose before packed: packing writes the packed file first and removes the loose one afterwards.
    own = not ref.startswith("refs/") or ref.startswith(_PER_WORKTREE)
    text = _text(os.path.join(repository.git_dir if own else repository.common_dir, ref))
    if text is None:
        return _packed(repository, ref)
    text = text.strip()
    if text.startswith("ref:"):
        target = text.removeprefix("ref:").strip()
        if target == _NO_REF_FILES:
            raise AskGit
        if depth == 0 or not target.startswith("refs/"):
            raise SourceError(f"{repository.top}: {ref} points to {target!r}, which is no ref")
        return _lookup(repository, check_ref(target), depth - 1)
    if FULL_ID.fullmatch(text) is None:
        raise SourceError(f"{repository.top}: {ref} is damaged: it holds no object id")
    return text


def _packed(repository: Repository, ref: str) -> str | None:
    try:
        with open(os.path.join(repository.common_dir, "packed-refs"), "rb") as file:
            packed = file.read()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise SourceError(f"{repository.top}: packed-refs cannot be read: {exc.strerror}") from exc
    found = re.search(rb"^([0-9a-f]{40,64}) " + re.escape(ref.encode()) + rb"$", packed, re.MULTILINE)
    return found.group(1).decode() if found else None


def _keeps_reftable(repository: Repository) -> bool:
    return os.path.isdir(os.path.join(repository.common_dir, "reftable"))


def _text(path: str) -> str | None:
    """A small file's text, or None where there is none: also where a directory stands, as for the ref `feature`
    next to a branch `feature/x`."""
    try:
        with open(path, "rb") as file:
            return file.read(65536).decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as exc:
        raise SourceError(f"{path} cannot be read: {exc.strerror}") from exc
