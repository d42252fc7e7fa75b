"""`include`: other Compose projects, each loaded on its own and then taken over."""

from __future__ import annotations

from posixpath import dirname
from typing import NamedTuple

from reconciler.compose.discover import absolute, is_remote
from reconciler.compose.nodes import Node, fail, same

_TAKEN_OVER = ("services", "volumes", "networks", "secrets", "configs", "models")
"""Anything else of an included file, its `x-…` and its name, stays there."""


class Include(NamedTuple):
    """One entry: the first path is the main file, the others override it. Without paths it brings nothing."""

    node: Node
    paths: tuple[str, ...]
    directory: str
    """Against which the included files' own paths are resolved."""
    env_files: tuple[tuple[str, Node], ...]
    """Empty: the `.env` of the directory, where there is one."""


def includes(root: Node, directory: str) -> list[Include]:
    """The entries of a document, with absolute paths. Raises InputError for a wrong form or a remote path."""
    node = root.get("include")
    if node is None or node.value is None:
        return []
    if type(node.value) is not list:
        raise fail("must be a list", node, ("include",))
    return [_include(item, directory, ("include", str(index))) for index, item in enumerate(node.value)]


def _include(node: Node, directory: str, path: tuple[str, ...]) -> Include:
    if type(node.value) is str:
        names, env, project = [node], [], None
    elif type(node.value) is dict:
        names, env = _strings(node, "path", path), _strings(node, "env_file", path)
        project = node.get("project_directory")
    else:
        raise fail("must be a string or a mapping", node, path)
    unknown = set(node.value) - {"path", "env_file", "project_directory"} if type(node.value) is dict else ()
    for key in sorted(unknown):
        raise fail(f"an include has path, project_directory and env_file, but no {key!r}", node, (*path, key))
    paths = []
    for name in names:
        if is_remote(name.value):
            raise fail("remote includes are not read; check the repository out and include its path", name, path)
        paths.append(absolute(name.value, directory))
    home = dirname(paths[0]) if paths else directory
    if project is not None and project.value is not None:
        if type(project.value) is not str:
            raise fail("must be a string", project, (*path, "project_directory"))
        home = absolute(project.value, directory) if project.value else home
    return Include(node, tuple(paths), home, tuple((absolute(one.value, directory), one) for one in env))


def _strings(node: Node, key: str, path: tuple[str, ...]) -> list[Node]:
    """A string or a list of strings."""
    child = node.get(key)
    if child is None or child.value is None:
        return []
    items = child.value if type(child.value) is list else [child]
    for item in items:
        if type(item.value) is not str:
            raise fail("must be a string or a list of strings", item, (*path, key))
    return list(items)


_REWRITTEN = frozenset(
    ("build", "configs", "devices", "dns", "env_file", "gpus", "label_file", "ports", "secrets", "ulimits", "volumes")
)
"""Service keys whose short forms Compose has made long in what it imports, but not yet in the including document."""


def take_over(root: Node, imported: Node, before: set[tuple[str, str]]) -> Node:
    """The including document with the included resources added; `before` is what earlier includes brought, and grows.

    What both have must be equal (newer Compose merges them). Raises InputError where it is not.
    """
    result = dict(root.value)
    for section in _TAKEN_OVER:
        source = imported.get(section)
        if source is None or type(source.value) is not dict:
            continue
        own = root.get(section)
        if own is not None and type(own.value) is not dict:
            raise fail("must be a mapping", own, (section,))
        combined: dict[str, Node] = dict(own.value) if own is not None else {}
        for name, node in source.value.items():
            earlier = combined.setdefault(name, node)
            if earlier is node:
                before.add((section, name))
            elif not ((section, name) in before or _stays_as_written(section, node)) or not same(earlier, node):
                message = f"is also defined, differently, in the included {node.location}"
                raise fail(message, earlier, (section, name), at_key=True)
        result[section] = (own or source).with_value(combined)
    return root.with_value(result)


def _stays_as_written(section: str, node: Node) -> bool:
    """Whether Compose's import leaves it alone, so that the including document can hold its equal."""
    if section == "services" and type(node.value) is dict and not _REWRITTEN.isdisjoint(node.value):
        return False
    return not _has_empty_list(node)


def _has_empty_list(node: Node) -> bool:
    """Compose turns empty lists of what it imports into nothing, which differs from the empty list it compares with."""
    if type(node.value) is dict:
        return any(map(_has_empty_list, node.value.values()))
    return type(node.value) is list and (not node.value or any(map(_has_empty_list, node.value)))
