"""`extends`: a service on top of another one, of the same document or of another file."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from reconciler.compose.discover import absolute, is_remote
from reconciler.compose.merge import Path, merge, without
from reconciler.compose.nodes import Node, fail
from reconciler.errors import InputError


class Layer(NamedTuple):
    """Services among which names are looked up: a document's own, or those of an extended file."""

    file: str
    directory: str
    """Against which `file:` is resolved."""
    services: Node
    resets: tuple[Path, ...]


Open = Callable[[str, Node], Layer]
"""Reads an extended file; the node is the one to blame when it cannot be read."""


def apply_extends(root: Node, layer: Layer, open_file: Open) -> Node:
    """The document with all `extends` of its services resolved. Raises InputError for what cannot be found or turns in
    a circle."""
    if not any(service.get("extends") for service in layer.services.value.values()):
        return root
    resolver = _Resolver(layer, open_file)
    services = {name: resolver.resolve(name, layer, ()) for name in layer.services.value}
    return root.with_value({**root.value, "services": layer.services.with_value(services)})


class _Resolver:
    def __init__(self, layer: Layer, open_file: Open) -> None:
        self._open = open_file
        self._own = layer.file
        self._done: dict[tuple[int, str], Node] = {}
        self._layers: dict[str, Layer] = {}

    def resolve(self, name: str, layer: Layer, chain: tuple[tuple[str, str], ...]) -> Node:
        memo = (id(layer), name)
        if memo not in self._done:
            self._done[memo] = self._resolve(name, layer, chain)
        return self._done[memo]

    def _resolve(self, name: str, layer: Layer, chain: tuple[tuple[str, str], ...]) -> Node:
        service: Node = layer.services.value[name]
        path = ("services", name)
        if service.value is None:
            return service
        if type(service.value) is not dict:
            raise fail("must be a mapping", service, path)
        extends = service.get("extends")
        if extends is None:
            return service
        wanted, target, link = self._target(extends, layer, path)
        if wanted not in target.services.value:
            where = f" in {link[0]}" if target is not layer else ""
            raise fail(f"cannot extend {wanted!r}: there is no such service{where}", extends, path)
        step = (link[0], name)
        if step in chain or len(chain) > _LONGEST:
            raise fail(f"extends itself, by way of {', '.join(repr(one) for _, one in chain)}", extends, path)
        base = self.resolve(wanted, target, (*chain, step))
        if base.value is None:
            return service
        if type(base.value) is not dict:
            raise fail("must be a mapping", base, ("services", wanted))
        own = tuple(reset[2:] for reset in layer.resets if len(reset) > 2 and reset[:2] == path)
        merged = merge(without(base, own), service, ("services", "x"))
        return service.with_value({key: child for key, child in merged.value.items() if key != "extends"})

    def _target(self, extends: Node, layer: Layer, path: Path) -> tuple[str, Layer, tuple[str]]:
        """Name of the service, the services among which it is, and the file that a chain of extends remembers."""
        if type(extends.value) is str:
            return extends.value, layer, (self._own,)
        service = extends.get("service")
        if service is None or type(service.value) is not str:
            raise fail("`extends` needs the name of a service", extends, path)
        file = extends.get("file")
        if file is None or file.value is None:
            return service.value, layer, (self._own,)
        if type(file.value) is not str:
            raise fail("must be a string", file, (*path, "extends", "file"))
        if is_remote(file.value):
            raise fail("remote files are not read; check the repository out", file, (*path, "extends", "file"))
        place = absolute(file.value, layer.directory)
        if place not in self._layers:
            self._layers[place] = self._open(place, file)
        return service.value, self._layers[place], (place,)


_LONGEST = 100
"""Files that extend each other deeper than this are a mistake, and Python's stack is finite."""


def services_of(root: Node, blame: Node) -> Node:
    """The `services` of an extended file."""
    services = root.get("services")
    if services is None:
        raise fail("the extended file has no services", blame)
    if type(services.value) is not dict:
        raise InputError("must be a mapping", services.location, path="services")
    return services
