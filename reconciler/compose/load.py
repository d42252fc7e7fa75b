"""`load`: the whole way from a request to a Project. Read this file first.

    discover → for each file, for each document:
        read → interpolate → extends → forget what is reset → include → merge onto the earlier ones → check
    → project name, profiles, references → Project

The order is that of Compose 2.40.3, and it matters: a value is interpolated before it is included, a document is
checked after it was merged, an override file cannot extend a service of the base file.
"""

from __future__ import annotations

from collections.abc import Callable
from posixpath import dirname, join
from typing import NamedTuple

from reconciler.compose.build import Warnings, build_project
from reconciler.compose.cloud_options import LayerOf
from reconciler.compose.discover import (
    STDIN,
    LoadRequest,
    Names,
    discover,
    read_env_files,
    reason,
    setting,
)
from reconciler.compose.environment import Environment
from reconciler.compose.extends import Layer, apply_extends, services_of
from reconciler.compose.files import Files
from reconciler.compose.include import Include, includes, take_over
from reconciler.compose.interpolate import Interpolator
from reconciler.compose.merge import canonical, merge, unique, without
from reconciler.compose.naming import project_name
from reconciler.compose.nodes import Node, fail
from reconciler.compose.project import Project
from reconciler.compose.reader import Document, read_documents
from reconciler.compose.schema import validate
from reconciler.errors import InputError, Location, SourceError

__all__ = ["LoadRequest", "load"]

_DEEPEST_INCLUDE = 30


def load(request: LoadRequest, files: Files) -> Project:
    """What the Compose files of a project say about models.

    Raises InputError (with file, line, column and the path inside the document) when something written must change,
    and SourceError when a Compose file is not there at all.
    """
    warnings = Warnings()
    names = Names(request.cwd)
    found = discover(request, files, names, warnings.add)
    reader = _Reader(request, files, names)
    documents = {path: reader.documents(path, None) for path in dict.fromkeys(found.files)}
    name = project_name(request, found, list(documents.values()), warnings.add)
    environment = found.environment.with_values({"COMPOSE_PROJECT_NAME": name})
    scope = _Scope(found.working_dir, environment, Interpolator(environment, warnings.add))
    root = _Loader(reader, warnings.add).files(found.files, scope, ())
    if not root.value:
        raise InputError("empty Compose file", Location(names(found.files[0])))
    reader.read.update(dict.fromkeys(found.env_files))
    return build_project(
        root,
        name=name,
        found=found,
        profiles=_profiles(request, environment),
        read=tuple(path for path in reader.read if path != STDIN),
        layer_of=LayerOf(reader.begins()),
        warnings=warnings,
    )


def _profiles(request: LoadRequest, environment: Environment) -> tuple[str, ...]:
    """`--profile`, else COMPOSE_PROFILES."""
    if request.profiles:
        return request.profiles
    return tuple(name.strip() for name in (setting(environment, "COMPOSE_PROFILES") or "").split(","))


class _Reader:
    """Files to documents, each file once."""

    def __init__(self, request: LoadRequest, files: Files, names: Names) -> None:
        self.files = files
        self.names = names
        self.read: dict[str, None] = {}
        self._stdin = request.stdin
        self._documents: dict[str, list[Document]] = {}

    def documents(self, path: str, blame: Node | None) -> list[Document]:
        """`blame` is what names the file; None for the files of the command line."""
        if path not in self._documents:
            self._documents[path] = read_documents(self._bytes(path, blame), self.names(path))
        return self._documents[path]

    def begins(self) -> dict[str, list[int]]:
        """For each file, as messages call it, the lines in which its documents begin."""
        return {
            self.names(path): [document.root.location.line for document in documents]
            for path, documents in self._documents.items()
        }

    def _bytes(self, path: str, blame: Node | None) -> bytes:
        self.read[path] = None
        if path == STDIN:
            if self._stdin is None:
                raise SourceError("a Compose file is to be read from stdin, but there is none")
            return self._stdin
        try:
            return self.files.read(path)
        except OSError as exc:
            text = f"{self.names(path)} cannot be read: {reason(exc)}"
            if blame is None:
                raise SourceError(text) from None
            raise fail(text, blame) from None


class _Scope(NamedTuple):
    """What a set of files is read with: their directory and their variables."""

    directory: str
    environment: Environment
    interpolator: Interpolator


class _Loader:
    """Many files to one tree."""

    def __init__(self, reader: _Reader, warn: Callable[[str], None]) -> None:
        self._reader = reader
        self._warn = warn

    def files(
        self, paths: tuple[str, ...], scope: _Scope, included: tuple[str, ...], blame: Node | None = None
    ) -> Node:
        """The files merged in order; an empty mapping when there is nothing in them."""
        root: Node | None = None
        for path in paths:
            for document in self._reader.documents(path, blame):
                root = self._document(path, document, root, scope, included)
        return root if root is not None else _EMPTY

    def _document(
        self, path: str, document: Document, earlier: Node | None, scope: _Scope, included: tuple[str, ...]
    ) -> Node:
        root = _interpolated(document, scope)
        root = self._extended(path, root, document, scope)
        root = self._included(path, root, scope, included)
        if earlier is not None:
            root = merge(without(canonical(earlier), document.resets), root)
        root = unique(root)
        validate(root)
        return self._without_version(root)

    def _extended(self, path: str, root: Node, document: Document, scope: _Scope) -> Node:
        services = root.get("services")
        if services is None:
            return root
        if type(services.value) is not dict:
            raise fail("must be a mapping", services, ("services",))
        layer = Layer(path, scope.directory, services, tuple(document.resets))
        return apply_extends(root, layer, lambda file, blame: self._layer(file, blame, scope))

    def _layer(self, path: str, blame: Node, scope: _Scope) -> Layer:
        """The services of an extended file: merged, interpolated with our variables, nothing else resolved yet."""
        root: Node | None = None
        resets: list[tuple[str, ...]] = []
        for document in self._reader.documents(path, blame):
            one = _interpolated(document, scope)
            root = one if root is None else merge(without(root, document.resets), one)
            resets = document.resets
        services = services_of(canonical(root or _EMPTY), blame)
        return Layer(path, dirname(path), services, tuple(resets))

    def _included(self, path: str, root: Node, scope: _Scope, included: tuple[str, ...]) -> Node:
        if "include" not in root.value:
            return root
        seen = (*included, path)
        imported: set[tuple[str, str]] = set()
        for entry in includes(root, scope.directory):
            if not entry.paths:
                self._scope_of(entry, scope)
                continue
            if entry.paths[0] in seen or len(seen) > _DEEPEST_INCLUDE:
                raise fail(f"{self._reader.names(entry.paths[0])} includes itself", entry.node, ("include",))
            other = self.files(entry.paths, self._scope_of(entry, scope), seen, entry.node)
            root = take_over(root, canonical(other), imported)
        return root.with_value({key: child for key, child in root.value.items() if key != "include"})

    def _scope_of(self, entry: Include, scope: _Scope) -> _Scope:
        """The including project's variables win; those of the included one's env file are defaults."""
        files = [(path, node.location) for path, node in entry.env_files]
        default = join(entry.directory, ".env")
        if not files and self._reader.files.is_file(default):
            files = [(default, entry.node.location)]
        self._reader.read.update(dict.fromkeys(path for path, _ in files))
        environment = read_env_files(scope.environment, files, self._reader.files, self._reader.names)
        return _Scope(entry.directory, environment, Interpolator(environment, self._warn))

    def _without_version(self, root: Node) -> Node:
        version = root.get("version")
        if version is None:
            return root
        self._warn(f"{version.key_location}: `version` is obsolete and ignored; remove it")
        return root.with_value({key: child for key, child in root.value.items() if key != "version"})


def _interpolated(document: Document, scope: _Scope) -> Node:
    if type(document.root.value) is not dict:
        raise fail("a Compose file must be a mapping: `services:`, `models:` …", document.root)
    return scope.interpolator.document(document.root) if document.has_variables else document.root


class _Nowhere:
    name, line, column = "", 0, 0


_EMPTY = Node({}, _Nowhere())
