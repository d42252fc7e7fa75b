"""What a model artifact's manifest holds: Docker's layers and CNCF's, told apart by media type and file name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from drivers.errors import Rejected
from drivers.modelstore.artifact import RemoteFile, Role
from drivers.modelstore.gguf import shard_names
from drivers.modelstore.reference import Reference, is_digest

MOST_LAYERS = 4096
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
CONFIGS = frozenset(
    {
        "application/vnd.docker.ai.model.config.v0.1+json",
        "application/vnd.docker.ai.model.config.v0.2+json",
        "application/vnd.cncf.model.config.v1+json",
    }
)
_DOCKER, _CNCF = "application/vnd.docker.ai.", "application/vnd.cncf.model."
_PATHS = ("org.cncf.model.filepath", "org.opencontainers.image.title")


class Layer:
    """A descriptor of a manifest, checked."""

    __slots__ = ("digest", "media_type", "path", "size")

    def __init__(self, media_type: str, digest: str, size: int, path: str) -> None:
        self.media_type, self.digest, self.size, self.path = media_type, digest, size, path


def is_index(manifest: Mapping[str, Any]) -> bool:
    """Whether this is a list of manifests."""
    return manifest.get("mediaType") in INDEXES or ("manifests" in manifest and "layers" not in manifest)


def files_of(reference: Reference, manifest: Mapping[str, Any]) -> Iterable[RemoteFile]:
    """What a server needs of it. Rejected where llama.cpp cannot serve that."""
    layers = [layer_of(entry) for entry in sequence(manifest.get("layers"))]
    if len(layers) > MOST_LAYERS:
        raise Rejected(f"{reference} has {len(layers)} layers")
    named = [(role, layer) for layer in layers if (role := _role(layer))]
    weights = [layer for role, layer in named if role is Role.WEIGHTS]
    if not weights:
        held = sorted({layer.media_type for layer in layers})
        raise Rejected(
            f"{reference} holds no GGUF weights, which llama.cpp needs; it holds {', '.join(held) or 'nothing'}"
        )
    for layer in _in_order(reference, weights):
        yield _remote(Role.WEIGHTS, layer)
    for single in (Role.MMPROJ, Role.CHAT_TEMPLATE):
        found = next((layer for role, layer in named if role is single), None)
        if found:
            yield _remote(single, found)


def _role(layer: Layer) -> Role | None:
    """What a layer is; None for licences, documents and whatever else a server does not read."""
    path, kind = layer.path.lower(), layer.media_type
    if kind in (f"{_DOCKER}gguf.v3", f"{_CNCF}weight.v1.gguf"):
        return Role.MMPROJ if "mmproj" in path else Role.WEIGHTS
    if kind in (f"{_DOCKER}mmproj", f"{_DOCKER}gguf.v3.mmproj"):
        return Role.MMPROJ
    if kind == f"{_DOCKER}chat.template.jinja":
        return Role.CHAT_TEMPLATE
    if kind in (f"{_DOCKER}model.file", f"{_CNCF}weight.v1.raw", f"{_CNCF}weight.config.v1.raw"):
        if path.endswith(".gguf"):
            return Role.MMPROJ if "mmproj" in path else Role.WEIGHTS
        return Role.CHAT_TEMPLATE if path.endswith(".jinja") else None
    return None


def _in_order(reference: Reference, weights: list[Layer]) -> list[Layer]:
    """The parts of a split model, first part first, as their names say; without names, as the manifest has them."""
    if len(weights) == 1 or not all(layer.path for layer in weights):
        return weights
    by_name = {layer.path.rpartition("/")[2]: layer for layer in weights}
    expected = shard_names(min(by_name))
    if set(expected) != set(by_name):
        raise Rejected(f"{reference} holds {len(weights)} GGUF files that are not the parts of one model")
    return [by_name[name] for name in expected]


def _remote(role: Role, layer: Layer) -> RemoteFile:
    return RemoteFile(role=role, digest=layer.digest, size=layer.size, location=layer.digest)


def layer_of(entry: object) -> Layer:
    """A descriptor, for layers and configurations alike. Rejected where it is not as it should be."""
    values = mapping(entry)
    digest, size = values.get("digest"), values.get("size")
    if not isinstance(digest, str) or not is_digest(digest):
        raise Rejected("the manifest has a descriptor without a proper sha256 digest: refused")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise Rejected(f"the manifest gives no proper size for {digest}: refused")
    if values.get("urls"):
        raise Rejected(f"the manifest has {digest} fetched from addresses of its own choice: refused")
    annotations = mapping(values.get("annotations"))
    path = next((str(annotations[key]) for key in _PATHS if annotations.get(key)), "")
    return Layer(str(values.get("mediaType", "")), digest, size, path)


def mapping(value: object) -> Mapping[str, Any]:
    """The value where it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """The value where it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []
