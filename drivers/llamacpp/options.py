"""What this driver makes of a spec, before anything is started. Pure but for the operator's settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from drivers import manifest
from drivers.base import Finding, Handling, ModelSpec
from drivers.errors import Rejected
from drivers.llamacpp import command
from drivers.llamacpp.settings import LlamaCppSettings, is_loopback

IMPLEMENTED = frozenset(command.OPTION_FLAGS) | {
    "cloud.accelerator",
    "cloud.accelerator-memory",
    "cloud.auth",
    "cloud.engine",
    "cloud.health-path",
    "cloud.health-prompt",
    "cloud.memory",
    "cloud.model-id",
    "cloud.model-revision",
    "cloud.model-source",
    "cloud.replicas",
    "cloud.shm-size",
    "cloud.visibility",
    "llamacpp.gpu-layers",
    "llamacpp.parallel",
}
"""Option keys of the vocabulary that this driver honours."""

EVERYWHERE = "0.0.0.0"


def check(spec: ModelSpec, settings: LlamaCppSettings) -> tuple[Finding, ...]:
    """The catalogue's findings, with this driver's own in the place of those they contradict."""
    findings = manifest.check(spec, "llamacpp", IMPLEMENTED)
    own = {finding.key: finding for finding in _own(spec, settings)}
    return tuple(own.get(finding.key, finding) for finding in findings) if own else findings


def refuse(spec: ModelSpec, settings: LlamaCppSettings) -> None:
    """Raise Rejected for the first thing in the spec that this driver refuses."""
    for finding in check(spec, settings):
        if finding.handling is Handling.REJECTED:
            raise Rejected(f"{finding.key}: {finding.detail}")


def address(spec: ModelSpec, settings: LlamaCppSettings) -> str:
    """The address to listen on."""
    return EVERYWHERE if spec.options.get("cloud.visibility") == "public" else settings.address()


def needs_key(spec: ModelSpec) -> bool:
    """Whether clients must prove themselves. They must, unless the file says otherwise and only this host can ask."""
    return spec.options.get("cloud.auth") != "none"


def _own(spec: ModelSpec, settings: LlamaCppSettings) -> Iterator[Finding]:
    yield from command.conflicts(spec)
    for key in _JUDGES.keys() & spec.options.keys():
        wrong = _JUDGES[key](spec.options[key], spec, settings)
        if wrong:
            yield Finding(key, Handling.REJECTED, wrong)
    try:
        command.reference(spec)
    except Rejected as refused:
        key, _, detail = str(refused).partition(": ")
        yield Finding(key, Handling.REJECTED, detail)


def _engine(text: str, spec: ModelSpec, settings: LlamaCppSettings) -> str:
    return "" if text in ("auto", "llamacpp") else f"the engine on this platform is llamacpp, not {text}"


def _auth(text: str, spec: ModelSpec, settings: LlamaCppSettings) -> str:
    if text == "iam":
        return "this host has no IAM: use api-key"
    if text == "none" and not is_loopback(address(spec, settings)):
        return "others than this host can reach the server, so a key is required: use api-key"
    return ""


def _visibility(text: str, spec: ModelSpec, settings: LlamaCppSettings) -> str:
    if text == "tunnel":
        return "this platform opens no tunnels: use private"
    if text == "public" and not settings.public:
        return "the operator's settings do not allow listening on every address of this host"
    return ""


_JUDGES: Mapping[str, Callable[[str, ModelSpec, LlamaCppSettings], str]] = MappingProxyType(
    {"cloud.engine": _engine, "cloud.auth": _auth, "cloud.visibility": _visibility}
)
