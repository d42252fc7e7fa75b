"""How a later Compose file changes an earlier one: maps merge, lists append, scalars replace, and the exceptions.

Also what `!reset` and `!override` take away, and which lists keep one entry for each key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from reconciler.compose.nodes import Node, Timestamp, fail

Path = tuple[str, ...]


def merge(base: Node, over: Node, path: Path = ()) -> Node:
    """`over` on top of `base`. Raises InputError where a mapping meets a list or a scalar."""
    special = _special(path)
    if special is not None:
        return special(base, over, path)
    if over.value is None:
        return base
    kind = type(base.value)
    if kind is not dict and kind is not list:
        return over
    if type(over.value) is not kind:
        raise fail(f"cannot override {'.'.join(path)}: it is a {_WORDS[kind]} in {base.location}", over)
    if kind is dict:
        return _merge_mappings(base, over, path)
    return base.with_value(base.value + over.value)


_WORDS = {dict: "mapping", list: "list"}


def _merge_mappings(base: Node, over: Node, path: Path) -> Node:
    result = dict(base.value)
    for key, child in over.value.items():
        earlier = result.get(key)
        result[key] = child if earlier is None else merge(earlier, child, (*path, key))
    return base.with_value(result)


def _replace(base: Node, over: Node, path: Path) -> Node:
    return over


def _as_mappings(base: Node, over: Node, path: Path) -> Node:
    """Lists of names count as mappings without values. What is neither changes nothing."""
    return _merge_mappings(names_to_mapping(base), names_to_mapping(over), path)


def names_to_mapping(node: Node) -> Node:
    """A list of names as a mapping from name to nothing; a mapping as it is; anything else as an empty mapping."""
    if type(node.value) is dict:
        return node
    if type(node.value) is not list:
        return node.with_value({})
    result = {}
    for item in node.value:
        if type(item.value) is not str:
            raise fail("must be a string", item)
        result[item.value] = Node(None, item.at, item.at)
    return node.with_value(result)


def dependencies_to_mapping(node: Node) -> Node:
    """`depends_on` in its long form."""
    mapping = names_to_mapping(node)
    if mapping is node:
        return node
    return node.with_value({name: _started(child) for name, child in mapping.value.items()})


def _started(name: Node) -> Node:
    condition = Node("service_started", name.at, name.at, "service_started")
    return Node({"condition": condition, "required": Node(True, name.at, name.at, "true")}, name.at, name.at)


def _merge_dependencies(base: Node, over: Node, path: Path) -> Node:
    return _merge_mappings(dependencies_to_mapping(base), dependencies_to_mapping(over), path)


def _as_lists(base: Node, over: Node, path: Path) -> Node:
    """`K: V` and `K=V` are one thing: both sides become lists, one after the other."""
    return base.with_value(to_list(base) + to_list(over))


def to_list(node: Node) -> list[Node]:
    """A mapping as sorted `key=value` texts, a string as one entry, null as none."""
    value = node.value
    if type(value) is list:
        return value
    if type(value) is str:
        return [node]
    if type(value) is not dict:
        return []
    entries: list[Node] = []
    for key, child in value.items():
        for item in child.value if type(child.value) is list else [child]:
            text = key if item.value is None else f"{key}={_shown(item)}"
            entries.append(Node(text, item.at, child.key_at, text))
    return sorted(entries, key=lambda entry: str(entry.value))


def _shown(node: Node) -> str:
    return node.text if type(node.value) is not bool else str(node.value).lower()


def _merge_build(base: Node, over: Node, path: Path) -> Node:
    return _merge_mappings(_build(base), _build(over), path)


def _build(node: Node) -> Node:
    if type(node.value) is str:
        return node.with_value({"context": node})
    return node if type(node.value) is dict else node.with_value({})


def _merge_logging(base: Node, over: Node, path: Path) -> Node:
    if type(base.value) is not dict or type(over.value) is not dict:
        return over
    one, other = base.get("driver"), over.get("driver")
    if one is None or other is None or one.value == other.value:
        return _merge_mappings(base, over, path)
    return over


_LONG = {"models": names_to_mapping, "networks": names_to_mapping, "depends_on": dependencies_to_mapping}

_Merger = Callable[[Node, Node, Path], Node]

_SPECIAL: dict[Path, _Merger] = {
    ("networks", "ipam", "config"): _replace,  # whatever comes out, no model depends on it
    ("networks", "labels"): _as_lists,
    ("volumes", "labels"): _as_lists,
    ("services", "build"): _merge_build,
    ("services", "depends_on"): _merge_dependencies,
    ("services", "logging"): _merge_logging,
    ("services", "models"): _as_mappings,
    ("services", "networks"): _as_mappings,
    ("services", "healthcheck", "test"): _replace,
    ("services", "deploy", "labels"): _as_lists,
}
_SPECIAL |= {("services", key): _replace for key in ("command", "entrypoint")}
_SPECIAL |= {
    ("services", key): _as_lists
    for key in (
        *("annotations", "dns", "dns_opt", "dns_search", "env_file", "label_file", "environment", "extra_hosts"),
        *("labels", "sysctls", "tmpfs"),
    )
}
_SPECIAL |= {("services", "build", key): _as_lists for key in ("args", "additional_contexts", "extra_hosts", "labels")}


def _special(path: Path) -> _Merger | None:
    """The rule for a place; all of them have a name of the user's choice in the second position."""
    if not 3 <= len(path) <= 4:
        return None
    if path[0] == "services" and path[2] == "ulimits" and len(path) == 4:
        return _replace
    return _SPECIAL.get((path[0], *path[2:]))


def without(root: Node, paths: Iterable[Path]) -> Node:
    """The tree without what stands at these paths."""
    for path in paths:
        root = _without(root, path)
    return root


def _without(node: Node, path: Path) -> Node:
    # "*" in a path stands for any key, as it does for Compose.
    children: Any = node.value
    if type(children) is not dict or not path:
        return node
    head, rest = path[0], path[1:]
    keys = list(children) if head == "*" else [head] if head in children else []
    if not keys:
        return node
    result = dict(children)
    for key in keys:
        if rest:
            result[key] = _without(children[key], rest)
        else:
            del result[key]
    return node.with_value(result)


def canonical(root: Node) -> Node:
    """The short forms of what names models, services and networks made long, so that a later `!reset` can name one of
    them, and two files that say the same can be seen to do so."""
    services = root.get("services")
    if services is None or type(services.value) is not dict:
        return root
    changed = {}
    for name, service in services.value.items():
        long = {key: form(service.value[key]) for key, form in _LONG.items() if _is_short(service, key)}
        if long:
            changed[name] = service.with_value({**service.value, **long})
    if not changed:
        return root
    return root.with_value({**root.value, "services": services.with_value({**services.value, **changed})})


def _is_short(service: Node, key: str) -> bool:
    node = service.get(key)
    return node is not None and type(node.value) is list


def unique(root: Node) -> Node:
    """Lists where a later entry replaces an earlier one of the same key. Only `profiles` matters to models."""
    services = root.get("services")
    if services is None or type(services.value) is not dict:
        return root
    changed = {}
    for name, service in services.value.items():
        profiles = service.get("profiles")
        if profiles is not None and type(profiles.value) is list:
            kept = _one_for_each_key(profiles)
            if len(kept) != len(profiles.value):
                changed[name] = service.with_value({**service.value, "profiles": profiles.with_value(kept)})
    if not changed:
        return root
    return root.with_value({**root.value, "services": services.with_value({**services.value, **changed})})


def _one_for_each_key(profiles: Node) -> list[Node]:
    kept: dict[str, Node] = {}
    for item in profiles.value:
        if type(item.value) is not str or isinstance(item.value, Timestamp):
            raise fail("must be a string", item)
        kept[item.value.split("=", 1)[0]] = item
    return list(kept.values())
