"""The texts: the override file and the env files, without the header that `write.py` puts above them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from reconciler.render.environments import ServiceEnvironment
from reconciler.render.grammar import VARIABLE, shown
from reconciler.render.network import HOST_GATEWAY

_PLAIN_KEY = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[A-Za-z_][A-Za-z0-9_]*", re.IGNORECASE)


def override_body(
    environments: Iterable[ServiceEnvironment],
    key_env_file: Callable[[str], str | None],
    providers: Iterable[str] = (),
) -> str:
    """The override file without its header. `key_env_file` gives a service's key file, None where it has none.

    `providers` are the project's legacy provider services: they are removed, and with them what depends on them.
    """
    ordered = sorted(environments, key=lambda environment: environment.name)
    removed = {*providers, *(name for env in ordered for name in env.dropped_dependencies)}
    lines = [line for env in ordered for line in _service_lines(env, key_env_file(env.name))]
    lines += [f"  {_key(name)}: !reset null" for name in sorted(removed - {env.name for env in ordered})]
    services = ["services:", *lines] if lines else ["services: {}"]
    # Only the services' resets are needed today; without the other one `--all-resources` would still find models.
    return "\n".join([*services, "models: !reset null", ""])


def env_body(environment: ServiceEnvironment) -> str:
    """The service's variables as `KEY=VALUE` lines, for whatever is not Compose and runs on this host."""
    return _assignments(environment.host_variables)


def key_body(pairs: Mapping[str, str]) -> str:
    """Variables and keys as the lines of an env file, read raw: nothing is quoted, nothing is expanded."""
    return _assignments(pairs)


def _service_lines(environment: ServiceEnvironment, key_file: str | None) -> Iterator[str]:
    for model in environment.missing:
        yield f"  # {shown(model)} is not ready: its variables come with it"
    yield f"  {_key(environment.name)}:"
    yield "    models: !reset null"
    if environment.dropped_dependencies:
        yield "    depends_on:"
        yield from (f"      {_key(name)}: !reset null" for name in environment.dropped_dependencies)
    if environment.variables:
        yield "    environment:"
        yield from (f"      {_key(name)}: {_scalar(text)}" for name, text in sorted(environment.variables.items()))
    if environment.key_variables and key_file is not None:
        yield "    env_file:"
        yield f"      - path: {_scalar(key_file)}"
        yield "        format: raw"
        yield "        required: true"
    if environment.needs_host_gateway:
        yield "    extra_hosts:"
        yield f"      - {_scalar(f'{HOST_GATEWAY}:host-gateway')}"


def _key(name: str) -> str:
    return name if _PLAIN_KEY.fullmatch(name) else _quoted(name)


def _scalar(text: str) -> str:
    """A double-quoted scalar from which Compose reads back exactly `text`: it interpolates values, never keys."""
    return _quoted(text.replace("$", "$$"))


def _quoted(text: str) -> str:
    # Printable text only, so that JSON's quoting is YAML's; an escaped surrogate pair, for one, would not be.
    if not text.isprintable():
        raise ValueError(f"not fit to be written into an override file: {shown(text)}")
    return json.dumps(text, ensure_ascii=False)


def _assignments(pairs: Mapping[str, str]) -> str:
    for name, text in pairs.items():
        if not VARIABLE.fullmatch(name):
            raise ValueError(f"{shown(name)} is not a name for a variable")
        if set("\n\r\0") & set(text):
            # The text itself may be a key, so it is not shown.
            raise ValueError(f"the value of {name} has a line break or a NUL in it; an env file cannot hold that")
    return "".join(f"{name}={text}\n" for name, text in sorted(pairs.items()))
