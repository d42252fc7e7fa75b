"""The legacy form of a model: a service `provider: {type: model, options: {model: ai/smollm2}}`.

Read as a model named like the service. Its dependents get `<SERVICE>_URL` and `<SERVICE>_MODEL`, as they always did.
Several models in one such service share one URL in Compose; here every model has its own, so they are refused.
"""

from __future__ import annotations

from collections.abc import Callable

from reconciler.compose.cloud_options import LayerOf, flatten
from reconciler.compose.nodes import Node, fail
from reconciler.compose.project import Model
from reconciler.compose.scalars import resolve

_READ = ("model", "context-size", "runtime-flags")


def provider_model(name: str, service: Node, layer_of: LayerOf, warn: Callable[[str], None]) -> Model | None:
    """The model that this service stands for, None when it is an ordinary service or another provider's."""
    provider = service.get("provider")
    kind = provider.get("type") if provider is not None else None
    if provider is None or kind is None or kind.value != "model":
        return None
    warn(f"{provider.key_location}: services.{name}: `provider: {{type: model}}` is deprecated; use `models:`")
    options = provider.get("options")
    values: dict[str, Node] = options.value if options is not None else {}
    path = ("services", name, "provider", "options")
    for key, node in values.items():
        if key not in _READ:
            warn(f"{node.key_location}: {'.'.join((*path, key))}: has no effect")
    flags = _flags(values.get("runtime-flags"), (*path, "runtime-flags"))
    size = values.get("context-size")
    return Model(
        key=name,
        model=_one_model(values.get("model"), provider, (*path, "model")),
        context_size=_size(size, (*path, "context-size")) if size is not None else None,
        runtime_flags=tuple(text for text, _ in flags),
        options=flatten(service.get("x-cloud-options"), ("services", name, "x-cloud-options"), layer_of),
        location=service.key_location,
        flag_locations=tuple(node.location for _, node in flags),
        context_location=size.location if size is not None else None,
    )


def _items(node: Node | None) -> list[Node]:
    if node is None:
        return []
    return list(node.value) if type(node.value) is list else [node]


def _one_model(node: Node | None, provider: Node, path: tuple[str, ...]) -> str:
    items = _items(node)
    if not items or node is None:
        raise fail("which model is it?", provider, path)
    if len(items) > 1:
        raise fail(
            "several models in one provider service cannot share one URL; declare them under `models:`", node, path
        )
    return items[0].text


def _size(node: Node, path: tuple[str, ...]) -> int:
    items = _items(node)
    size = resolve(items[-1].text) if items else None
    if type(size) is not int or not 0 < size < 2**31:
        raise fail("must be a positive integer", node, path)
    return size


def _flags(node: Node | None, path: tuple[str, ...]) -> list[tuple[str, Node]]:
    """The plugin takes one text and splits it as a shell would."""
    if node is None:
        return []
    from shlex import split

    try:
        return [(flag, item) for item in _items(node) for flag in split(item.text)]
    except ValueError as exc:
        raise fail(f"cannot be split into flags: {str(exc).lower()}", node, path) from None
