"""What the Compose schema refuses: fully for `models`, for services as far as their own keys and shapes.

Checked after each document is merged onto the earlier ones, as Compose does: an override file cannot complete a base
file that is wrong by itself. The inside of `ports`, `build`, `deploy` and the like is Compose's own business.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from reconciler.compose.nodes import Node, fail, kind

Path = tuple[str, ...]

NAME = re.compile(r"[a-zA-Z0-9._-]+\Z")
"""What a model, a service, a volume … may be called."""

_NAME_HELP = "a name consists of letters, digits, dots, hyphens and underscores"
_TOP = ("name", "version", "services", "models", "networks", "volumes", "secrets", "configs", "include")
_MODEL = ("name", "model", "context_size", "runtime_flags")
_BINDING = ("endpoint_var", "model_var")
_CONDITIONS = ("service_started", "service_healthy", "service_completed_successfully")

_MAP, _LIST, _TEXT, _FLAG, _NULL = (dict,), (list,), (str,), (bool,), (type(None),)
_NUMBER = (int, float)
_SERVICE: dict[str, tuple[type, ...]] = {}
for _types, _keys in (
    (_MAP + _NULL, "develop deploy"),
    (_MAP + _LIST, "annotations depends_on environment extra_hosts labels models networks sysctls"),
    (_FLAG + _TEXT, "attach init oom_kill_disable privileged read_only stdin_open tty"),
    (_MAP + _TEXT, "build extends"),
    (_MAP, "blkio_config credential_spec provider healthcheck logging storage_opt ulimits"),
    (
        _LIST,
        "cap_add cap_drop configs device_cgroup_rules devices dns_opt expose external_links group_add links ports"
        " post_start pre_stop profiles security_opt secrets volumes volumes_from",
    ),
    (
        _TEXT,
        "cgroup cgroup_parent container_name cpuset domainname hostname image ipc isolation mac_address network_mode"
        " platform pull_policy pull_refresh_after restart runtime stop_grace_period stop_signal user uts userns_mode"
        " working_dir",
    ),
    (_LIST + _TEXT + _NULL, "command entrypoint"),
    (
        _NUMBER + _TEXT,
        "cpu_count cpu_percent mem_reservation mem_swappiness oom_score_adj scale cpu_shares cpu_quota cpu_period"
        " cpu_rt_period cpu_rt_runtime cpus mem_limit memswap_limit pids_limit shm_size",
    ),
    (_LIST + _TEXT, "dns dns_search env_file label_file gpus tmpfs"),
    (_TEXT + _NULL, "pid"),
    (_FLAG, "use_api_socket"),
):
    _SERVICE |= dict.fromkeys(_keys.split(), _types)

_WORDS = {dict: "a mapping", list: "a list", str: "a string", bool: "a boolean", int: "a number", type(None): "null"}


def validate(root: Node) -> None:
    """Raises InputError at the first thing that Compose would refuse."""
    _known_keys(root, _TOP, (), "a Compose file")
    for section in ("services", "models", "networks", "volumes", "secrets", "configs"):
        node = root.get(section)
        if node is None:
            continue
        children = _mapping(node, (section,))
        for name, child in children.items():
            _check_name(name, child, section)
            if section == "services":
                _service(child, (section, name))
            elif section == "models":
                _model(child, (section, name))
            elif child.value is not None:
                _mapping(child, (section, name))
    for key in ("name", "version"):
        _optional(root, key, _TEXT, ())


def _check_name(name: str, node: Node, section: str) -> None:
    """Compose lets odd keys under `models` pass unchecked; they would be names of models all the same."""
    if not NAME.match(name) and not (section == "networks" or name.startswith("x-")):
        raise fail(f"not a valid name: {_NAME_HELP}", node, (section, name), at_key=True)


def _model(node: Node, path: Path) -> None:
    if path[1].startswith("x-") and not NAME.match(path[1]):
        return
    children = _mapping(node, path)
    _known_keys(node, _MODEL, path, "a model")
    if "model" not in children:
        raise fail("`model` is missing: which model is it?", node, path, at_key=True)
    _optional(node, "model", _TEXT, path)
    _optional(node, "name", _TEXT, path)
    size = node.get("context_size")
    if size is not None and not _is_integer(size.value):
        hint = "; Compose does not take a variable here" if type(size.value) is str else ""
        raise fail(f"must be an integer, not {kind(size)}{hint}", size, (*path, "context_size"))
    flags = node.get("runtime_flags")
    if flags is not None:
        _expect(flags, _LIST, (*path, "runtime_flags"))
        _strings(flags, (*path, "runtime_flags"))


def _is_integer(value: Any) -> bool:
    """1024, and 1.024e3 too: JSON Schema, which Compose uses, looks at the value."""
    return type(value) is int or (type(value) is float and value.is_integer())


def _service(node: Node, path: Path) -> None:
    children = _mapping(node, path)
    if not children.keys() <= _SERVICE.keys():
        _known_keys(node, tuple(_SERVICE), path, "a service")
    for key, child in children.items():
        types = _SERVICE.get(key)
        if types is None:
            continue
        if type(child.value) not in types:
            raise fail(f"must be {_either(types)}, not {kind(child)}", child, (*path, key))
        check = _INSIDE.get(key)
        if check is not None:
            check(child, (*path, key))


def _either(types: tuple[type, ...]) -> str:
    return " or ".join(dict.fromkeys(_WORDS[one] for one in types if one is not float))


def _bindings(node: Node, path: Path) -> None:
    if type(node.value) is list:
        _unique_strings(node, path)
        return
    for name, child in node.value.items():
        if name.startswith("x-") and not NAME.match(name):
            continue
        if not NAME.match(name):
            raise fail(f"not a valid name: {_NAME_HELP}", child, (*path, name), at_key=True)
        if child.value is None:
            continue
        _mapping(child, (*path, name))
        _known_keys(child, _BINDING, (*path, name), "the use of a model")
        for key in _BINDING:
            _optional(child, key, _TEXT, (*path, name))


def _depends_on(node: Node, path: Path) -> None:
    if type(node.value) is list:
        _unique_strings(node, path)
        return
    for name, child in node.value.items():
        if not NAME.match(name):
            raise fail(f"not a valid name: {_NAME_HELP}", child, (*path, name), at_key=True)
        _mapping(child, (*path, name))
        _known_keys(child, ("condition", "required", "restart"), (*path, name), "a dependency")
        condition = child.get("condition")
        if condition is None or condition.value not in _CONDITIONS:
            raise fail(f"needs a condition: {', '.join(_CONDITIONS)}", condition or child, (*path, name))
        _optional(child, "required", _FLAG, (*path, name))
        _optional(child, "restart", _FLAG + _TEXT, (*path, name))


def _provider(node: Node, path: Path) -> None:
    _known_keys(node, ("type", "options"), path, "a provider")
    if node.get("type") is None:
        raise fail("`type` is missing", node, path)
    _optional(node, "type", _TEXT, path)
    _optional(node, "options", _MAP, path)
    options = node.get("options")
    scalars = _TEXT + _NUMBER + _FLAG
    for key, child in options.value.items() if options is not None else ():
        for item in child.value if type(child.value) is list else [child]:
            _expect(item, scalars, (*path, "options", key))


def _extends(node: Node, path: Path) -> None:
    if type(node.value) is dict:
        _known_keys(node, ("service", "file"), path, "extends", extensions=False)
        _optional(node, "file", _TEXT, path)


def _environment(node: Node, path: Path) -> None:
    if type(node.value) is list:
        _strings(node, path)
        return
    for key, child in node.value.items():
        _expect(child, _TEXT + _NUMBER + _FLAG + _NULL, (*path, key))


def _networks(node: Node, path: Path) -> None:
    if type(node.value) is list:
        _unique_strings(node, path)


def _extra_hosts(node: Node, path: Path) -> None:
    if type(node.value) is list:
        _unique_strings(node, path)
        return
    for name, child in node.value.items():
        for item in child.value if type(child.value) is list else [child]:
            _expect(item, _TEXT, (*path, name))


def _strings(node: Node, path: Path) -> None:
    for index, item in enumerate(node.value):
        _expect(item, _TEXT, (*path, str(index)))


def _unique_strings(node: Node, path: Path) -> None:
    _strings(node, path)
    seen: dict[str, Node] = {}
    for item in node.value:
        if item.value in seen:
            raise fail(f"{item.value!r} is listed twice", item, path)
        seen[item.value] = item


_INSIDE: dict[str, Callable[[Node, Path], None]] = {
    "models": _bindings,
    "depends_on": _depends_on,
    "provider": _provider,
    "extends": _extends,
    "environment": _environment,
    "labels": _environment,
    "networks": _networks,
    "extra_hosts": _extra_hosts,
    "profiles": _unique_strings,
    "cap_add": _unique_strings,
    "cap_drop": _unique_strings,
    "links": _unique_strings,
    "volumes_from": _unique_strings,
}


def _known_keys(node: Node, known: tuple[str, ...], path: Path, what: str, *, extensions: bool = True) -> None:
    for key, child in node.value.items():
        if key in known or (extensions and key.startswith("x-")):
            continue
        from difflib import get_close_matches

        close = get_close_matches(key, known, 1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise fail(f"{what} has no {key!r}{hint}", child, (*path, key), at_key=True)


def _mapping(node: Node, path: Path) -> dict[str, Node]:
    _expect(node, _MAP, path)
    children: dict[str, Node] = node.value
    return children


def _optional(node: Node, key: str, types: tuple[type, ...], path: Path) -> None:
    child = node.get(key)
    if child is not None:
        _expect(child, types, (*path, key))


def _expect(node: Node, types: tuple[type, ...], path: Path) -> None:
    if type(node.value) not in types:
        raise fail(f"must be {_either(types)}, not {kind(node)}", node, path)
