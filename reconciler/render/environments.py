"""What each service is given: its variables, and which of them hold keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from drivers.base import NOTHING, Auth, Endpoint
from reconciler.compose.project import Binding, Project, Service
from reconciler.errors import InputError
from reconciler.render.grammar import RESERVED, VARIABLE, checked_text, shown
from reconciler.render.network import HOST_GATEWAY, Caution, View, host_url, who


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEnvironment:
    """What one service is given. All mappings are sorted by variable name."""

    name: str
    active: bool
    variables: Mapping[str, str] = field(default_factory=dict)
    """As the service's container must see them."""
    host_variables: Mapping[str, str] = field(default_factory=dict)
    """The same variables for a process that runs on this host without a container."""
    key_variables: Mapping[str, str] = field(default_factory=dict)
    """Variable to the path of the file that holds its key; the key itself is read by whoever writes."""
    needs_host_gateway: bool = False
    """The container needs an `extra_hosts` entry that it does not have yet."""
    missing: tuple[str, ...] = ()
    """Models that have no endpoint yet; their variables come with it."""
    dropped_dependencies: tuple[str, ...] = ()
    """Legacy provider services that it depends on; the override removes them."""
    cautions: tuple[Caution, ...] = ()


def service_environments(
    project: Project, endpoints: Mapping[str, Endpoint], api_key_vars: Mapping[str, str] = NOTHING
) -> tuple[ServiceEnvironment, ...]:
    """What every service that wants a model is given, inactive ones too, sorted by name.

    `endpoints` and `api_key_vars` are by model key; a model without an endpoint is not ready yet, one without a
    variable uses `<KEY>_API_KEY`. Raises InputError for a variable that must not be set or that two models claim,
    and ValueError for an endpoint that is not fit to be written anywhere.
    """
    return tuple(_environment(project, service, endpoints, api_key_vars) for service in _wanting(project))


def check_variables(project: Project, api_key_vars: Mapping[str, str] = NOTHING) -> None:
    """Raise what `service_environments` would raise for the names of variables, before there is any endpoint."""
    for service in _wanting(project):
        claims = _Claims(service)
        for binding in service.bindings:
            claims.names(binding, _key_variable(binding, api_key_vars))


def default_prefix(key: str) -> str:
    """What Compose makes of a model's key for variable names: `my.model-x` gives `MY.MODEL_X`."""
    return key.upper().replace("-", "_")


def _wanting(project: Project) -> list[Service]:
    return sorted((s for s in project.services.values() if s.bindings), key=lambda service: service.name)


def _key_variable(binding: Binding, api_key_vars: Mapping[str, str]) -> str:
    named = api_key_vars.get(binding.model)
    return named if named is not None else f"{default_prefix(binding.model)}_API_KEY"


def _environment(
    project: Project, service: Service, endpoints: Mapping[str, Endpoint], api_key_vars: Mapping[str, str]
) -> ServiceEnvironment:
    view = View(project, service)
    claims = _Claims(service)
    for binding in service.bindings:
        endpoint = endpoints.get(binding.model)
        key_var = _key_variable(binding, api_key_vars)
        # Names are judged before the model is ready: a wrong file is refused at once, not in ten minutes.
        claims.names(binding, key_var)
        if endpoint is not None:
            claims.values(binding, key_var, endpoint, view.url(binding, endpoint))
    gateway = view.used_gateway and HOST_GATEWAY not in service.extra_hosts
    wanted = {binding.model for binding in service.bindings}
    return ServiceEnvironment(
        name=service.name,
        active=service.active,
        variables=_sorted(claims.seen_inside),
        host_variables=_sorted(claims.seen_outside),
        key_variables=_sorted(claims.keys),
        needs_host_gateway=gateway,
        missing=tuple(sorted(wanted - endpoints.keys())),
        dropped_dependencies=tuple(sorted(wanted & project.providers)),
        cautions=(*view.cautions, *claims.cautions),
    )


class _Claims:
    """Who sets which variable of one service, and to what."""

    def __init__(self, service: Service) -> None:
        self.seen_inside: dict[str, str] = {}
        self.seen_outside: dict[str, str] = {}
        self.keys: dict[str, str] = {}
        self.cautions: list[Caution] = []
        self._service = service
        self._owner: dict[str, str] = {}

    def names(self, binding: Binding, key_var: str) -> None:
        path = f"services.{self._service.name}.models.{binding.model}"
        for name in (binding.endpoint_var, binding.model_var, key_var):
            _refuse_unfit(name, binding, path)
            owner = self._owner.setdefault(name, binding.model)
            if owner != binding.model:
                text = f"the variable {name} is already that of the model {shown(owner)}; give one of them another name"
                raise InputError(text, binding.location, path=path)

    def values(self, binding: Binding, key_var: str, endpoint: Endpoint, url: str) -> None:
        model_id = checked_text(endpoint.model_id)
        # Written in this order, because Compose lets the URL win where both name the same variable.
        self.seen_inside |= {binding.model_var: model_id} | {binding.endpoint_var: url}
        self.seen_outside |= {binding.model_var: model_id} | {binding.endpoint_var: host_url(endpoint)}
        if endpoint.auth is Auth.API_KEY and endpoint.key_file is not None:
            self.keys[key_var] = endpoint.key_file
        if endpoint.auth is Auth.PLATFORM:
            text = f"{who(self._service, binding)} needs its platform's expiring tokens; only the gateway can add them"
            self.cautions.append(Caution(text, binding.location))


def _refuse_unfit(name: str, binding: Binding, path: str) -> None:
    if not VARIABLE.fullmatch(name):
        raise InputError(f"{shown(name)} is not a name for a variable", binding.location, path=path)
    if RESERVED.fullmatch(name) and name not in _usual(binding.model):
        text = f"the variable {name} steers programs and is never set to an endpoint; choose another name"
        raise InputError(text, binding.location, path=path)


def _usual(key: str) -> set[str]:
    """The names that Compose itself makes from a key are harmless, also where one reads PYTHON_CODER_URL."""
    prefixes = {default_prefix(key), key.upper()}
    return {f"{prefix}_{suffix}" for prefix in prefixes for suffix in ("URL", "MODEL", "API_KEY")}


def _sorted(values: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(values.items()))
