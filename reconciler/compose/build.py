"""The merged tree → Project: models, who wants them, under which variable names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from reconciler.compose.cloud_options import LayerOf, flatten
from reconciler.compose.consistency import active_services, check_references, dependencies
from reconciler.compose.discover import Found
from reconciler.compose.merge import names_to_mapping, to_list
from reconciler.compose.nodes import Node, fail
from reconciler.compose.project import Binding, Model, Project, Service
from reconciler.compose.provider import provider_model
from reconciler.errors import InputError

Path = tuple[str, ...]
Warn = Callable[[str], None]

_LARGEST_CONTEXT = 2**31 - 1


class Warnings:
    """What people should know, each thing once and in order."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}

    def add(self, text: str) -> None:
        self._texts[text] = None

    def all(self) -> tuple[str, ...]:
        return tuple(self._texts)


def build_project(
    root: Node,
    *,
    name: str,
    found: Found,
    profiles: tuple[str, ...],
    read: tuple[str, ...],
    layer_of: LayerOf,
    warnings: Warnings,
) -> Project:
    """The Project in a checked tree. Raises InputError for references that lead nowhere and for colliding names."""
    services = _children(root, "services")
    declared = {key: node for key, node in _children(root, "models").items() if not key.startswith("x-")}
    active = active_services(services, profiles)
    warn = warnings.add
    check_references(root, services, active, declared)
    models = {key: _model(key, node, layer_of, warn) for key, node in declared.items()}
    provided = _provider_models(services, declared, layer_of, warn)
    models |= provided
    built = {key: _service(key, node, key in active, services, warn) for key, node in services.items()}
    wanted = {binding.model for service in built.values() if service.active for binding in service.bindings}
    wanted |= provided.keys() & active
    for key in wanted:
        if not models[key].model.strip():
            raise fail("the model is empty; is a variable unset?", _blame(declared, services, key), ("models", key))
    return Project(
        name=name,
        working_dir=found.working_dir,
        files=read,
        compose_files=found.files,
        models={key: model for key, model in models.items() if key in wanted},
        unused_models={key: model for key, model in models.items() if key not in wanted},
        services=built,
        defaults=flatten(root.get("x-cloud-options"), ("x-cloud-options",), layer_of),
        warnings=warnings.all(),
        providers=frozenset(provided),
    )


def _children(root: Node, section: str) -> Mapping[str, Node]:
    node = root.get(section)
    return node.value if node is not None else {}


def _blame(declared: Mapping[str, Node], services: Mapping[str, Node], key: str) -> Node:
    node = declared.get(key)
    return (node.get("model") or node) if node is not None else services[key]


def _model(key: str, node: Node, layer_of: LayerOf, warn: Warn) -> Model:
    path = ("models", key)
    size, flags = node.get("context_size"), node.get("runtime_flags")
    texts = flags.value if flags is not None else ()
    return Model(
        key=key,
        model=node.value["model"].value,
        context_size=_context_size(size, (*path, "context_size"), warn) if size is not None else None,
        runtime_flags=tuple(item.value for item in texts),
        options=flatten(node.get("x-cloud-options"), (*path, "x-cloud-options"), layer_of),
        location=node.key_location,
        flag_locations=tuple(item.location for item in texts),
        context_location=size.location if size is not None else None,
    )


def _context_size(node: Node, path: Path, warn: Warn) -> int | None:
    """Tokens. Zero and less mean nothing to Compose: it hands only positive numbers on."""
    size = int(node.value)
    if abs(size) > _LARGEST_CONTEXT:
        raise fail(f"{node.text} tokens are more than any model has", node, path)
    if size <= 0:
        warn(f"{node.location}: {'.'.join(path)}: {size} has no effect; the model's own size is used")
        return None
    return size


def _provider_models(
    services: Mapping[str, Node], declared: Mapping[str, Node], layer_of: LayerOf, warn: Warn
) -> dict[str, Model]:
    """Services of the legacy form `provider: {type: model}`, each read as a model of the service's name."""
    found = {}
    for name, service in services.items():
        model = provider_model(name, service, layer_of, warn)
        if model is None:
            continue
        if name in declared:
            message = f"a model of this name is also declared in {declared[name].key_location}; rename one of them"
            raise fail(message, service, ("services", name), at_key=True)
        found[name] = model
    return found


def _service(name: str, node: Node, active: bool, services: Mapping[str, Node], warn: Warn) -> Service:
    mode = node.get("network_mode")
    bindings = (*_bindings(node), *_provider_bindings(node, services))
    if active:
        _check_variables(name, bindings, warn)
    return Service(
        name=name,
        active=active,
        bindings=bindings,
        network_mode=(mode.value or None) if mode is not None else None,
        extra_hosts=frozenset(_hosts(node.get("extra_hosts"))),
        location=node.key_location,
    )


def _bindings(service: Node) -> Iterator[Binding]:
    """Compose's names: the key in capitals with `-` as `_`, unless the file says otherwise."""
    models = service.get("models")
    for key, node in names_to_mapping(models).value.items() if models is not None else ():
        if key.startswith("x-"):
            continue
        prefix = key.upper().replace("-", "_")
        endpoint, model = node.get("endpoint_var"), node.get("model_var")
        yield Binding(
            model=key,
            endpoint_var=(endpoint and endpoint.value) or f"{prefix}_URL",
            model_var=(model and model.value) or f"{prefix}_MODEL",
            location=node.key_location,
        )


def _provider_bindings(service: Node, services: Mapping[str, Node]) -> Iterator[Binding]:
    """Whoever depends on a provider service gets its variables; here Compose keeps the `-`."""
    for name, (node, _) in dependencies(service).items():
        provider = services[name].get("provider") if name in services else None
        if provider is not None and _is_model(provider):
            prefix = name.upper()
            yield Binding(
                model=name,
                endpoint_var=f"{prefix}_URL",
                model_var=f"{prefix}_MODEL",
                location=node.key_location,
            )


def _is_model(provider: Node) -> bool:
    kind = provider.get("type")
    return kind is not None and kind.value == "model"


def _check_variables(name: str, bindings: tuple[Binding, ...], warn: Warn) -> None:
    """One variable cannot hold two things. Compose picks a winner at random where two models want the same one."""
    owners: dict[str, str] = {}
    path = f"services.{name}.models"
    for binding in bindings:
        if binding.endpoint_var == binding.model_var:
            warn(f"{binding.location}: {binding.endpoint_var} is to hold the URL and the model's name; it gets the URL")
        for variable in dict.fromkeys((binding.endpoint_var, binding.model_var)):
            owner = owners.setdefault(variable, binding.model)
            if owner != binding.model:
                message = f"the models {owner!r} and {binding.model!r} both set {variable}; name it with "
                raise InputError(message + "endpoint_var or model_var", binding.location, path=path)
            if "=" in variable or not variable.isprintable() or " " in variable:
                raise InputError(f"{variable!r} cannot be the name of a variable", binding.location, path=path)


def _hosts(node: Node | None) -> Iterator[str]:
    if node is None:
        return
    if type(node.value) is dict:
        yield from node.value
        return
    for item in to_list(node):
        text = str(item.value)
        yield (text.split("=", 1)[0] if "=" in text else text.split(":", 1)[0]).strip()
