"""Profiles, and what active services refer to: everything a service names must be there.

Inactive services may be incomplete and may name what does not exist, exactly as in Compose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.compose.merge import dependencies_to_mapping, names_to_mapping
from reconciler.compose.nodes import Node, fail

Services = Mapping[str, Node]


def active_services(services: Services, profiles: Iterable[str]) -> frozenset[str]:
    """Those without profiles, and those with one that is in force; `*` is all."""
    wanted = frozenset(profiles)
    names = []
    for name, service in services.items():
        own = service.get("profiles")
        if own is None or not own.value or "*" in wanted or any(item.value in wanted for item in own.value):
            names.append(name)
    return frozenset(names)


def dependencies(service: Node) -> dict[str, tuple[Node, bool]]:
    """Service names that this one depends on, said or implied, each with its place and whether it is required."""
    if _NAMING_OTHERS.isdisjoint(service.value):
        return {}  # as for most services, and each is asked three times
    found: dict[str, tuple[Node, bool]] = {}
    explicit = service.get("depends_on")
    if explicit is not None:
        for name, child in dependencies_to_mapping(explicit).value.items():
            required = child.get("required")
            found[name] = (child, required is None or required.value is not False)
    for name, node in _implied(service):
        found.setdefault(name, (node, True))
    return found


_SHARING = ("network_mode", "ipc", "pid", "uts", "cgroup")
_NAMING_OTHERS = frozenset(("depends_on", "links", "volumes_from", *_SHARING))


def _implied(service: Node) -> Iterable[tuple[str, Node]]:
    for link in _items(service, "links"):
        name, colon, rest = str(link.value).partition(":")
        yield (name if colon and ":" not in rest else str(link.value)), link
    for key in _SHARING:
        mode = service.get(key)
        if mode is not None and type(mode.value) is str and mode.value.startswith("service:"):
            yield mode.value.removeprefix("service:"), mode
    for source in _items(service, "volumes_from"):
        if not str(source.value).startswith("container:"):
            yield str(source.value).split(":")[0], source


def _items(service: Node, key: str) -> list[Node]:
    node = service.get(key)
    return node.value if node is not None and type(node.value) is list else []


def check_references(root: Node, services: Services, active: frozenset[str], models: Mapping[str, Node]) -> None:
    """Raises InputError when an active service is no service or names what is not there."""
    for name, service in services.items():
        if name in active:
            _check_source(name, service)
            _check_networks(name, service, root)
            _check_dependencies(name, service, services, active)
            _check_models(name, service, models)
            _check_sources(name, service, root)
    _check_circles(services, active)


def _check_source(name: str, service: Node) -> None:
    image = service.get("image")
    if image is not None and image.value:
        return
    if service.get("build") is None and service.get("provider") is None:
        raise fail("has neither an image nor a build context", service, ("services", name), at_key=True)


def _check_networks(name: str, service: Node, root: Node) -> None:
    networks = service.get("networks")
    if networks is None or not networks.value:
        return
    mode = service.get("network_mode")
    if mode is not None and mode.value:
        raise fail("`network_mode` and `networks` exclude each other", mode, ("services", name))
    declared = _keys(root, "networks")
    for network, node in names_to_mapping(networks).value.items():
        if network not in declared and network != "default":
            raise fail(f"the network {network!r} is not defined", node, ("services", name), at_key=True)


def _check_dependencies(name: str, service: Node, services: Services, active: frozenset[str]) -> None:
    for other, (node, required) in dependencies(service).items():
        if other in active or (other in services and not required):
            continue
        why = "is not enabled by a profile" if other in services else "is not defined"
        raise fail(f"depends on the service {other!r}, which {why}", node, ("services", name), at_key=True)


def _check_models(name: str, service: Node, models: Mapping[str, Node]) -> None:
    wanted = service.get("models")
    if wanted is None:
        return
    for key, node in names_to_mapping(wanted).value.items():
        if key in models:
            continue
        if key.startswith("x-"):
            message = f"the model {key!r} is not defined: keys that begin with x- are extensions, not models"
            raise fail(message, node, ("services", name, "models"), at_key=True)
        from difflib import get_close_matches

        close = get_close_matches(key, models, 1)
        hint = f" (did you mean {close[0]!r}?)" if close else "; define it under the top-level `models:`"
        raise fail(f"the model {key!r} is not defined{hint}", node, ("services", name, "models"), at_key=True)


def _check_sources(name: str, service: Node, root: Node) -> None:
    """Secrets, configs and named volumes."""
    for section in ("secrets", "configs"):
        declared = _keys(root, section)
        for item in _items(service, section):
            source = item.get("source") if type(item.value) is dict else item
            if source is not None and source.value not in declared:
                raise fail(f"{source.value!r} is not defined under `{section}:`", item, ("services", name, section))
    declared = _keys(root, "volumes")
    for item in _items(service, "volumes"):
        volume = _volume(item)
        if volume and volume not in declared:
            raise fail(f"the volume {volume!r} is not defined", item, ("services", name, "volumes"))


def _volume(item: Node) -> str | None:
    """The named volume that an entry mounts, None for a path of the host and for an anonymous one."""
    if type(item.value) is dict:
        kind, source = item.get("type"), item.get("source")
        return str(source.value) if source and source.value and kind and kind.value == "volume" else None
    source_text, colon, _ = str(item.value).partition(":")
    if not colon or len(source_text) < 2 or source_text[0] in "./~" or "\\" in source_text:
        return None
    return source_text


def _keys(root: Node, section: str) -> Mapping[str, Node]:
    node = root.get(section)
    return node.value if node is not None else {}


def _check_circles(services: Services, active: frozenset[str]) -> None:
    """Peel off services that wait for nobody; whoever remains waits for itself."""
    waiting = {name: {other for other in dependencies(services[name]) if other in active} for name in active}
    waiting = {name: others for name, others in waiting.items() if others}
    while True:
        free = {name for others in waiting.values() for name in others if name not in waiting}
        if not free:
            break
        waiting = {name: left for name, others in waiting.items() if (left := others - free)}
    if waiting:
        name = next(name for name in services if name in waiting)
        circle = ", ".join(repr(one) for one in sorted(waiting))
        raise fail(f"the services {circle} depend on each other", services[name], ("services", name), at_key=True)
