"""The driver's contract: the values that cross it and what each method owes. A driver author reads this file only.

ModelSpec    what the user wrote for one model            Observation  what the platform says right now
Deployment   one attempt to realise one spec in one place Endpoint     where the model answers
Phase        where a deployment stands                    Finding      what a driver makes of one option
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple, Protocol

from drivers.errors import Denied, DriverError

NOTHING: Mapping[str, str] = MappingProxyType({})


class Phase(Enum):
    """Where a deployment stands, as its platform says. Ignorance is UNKNOWN, never ABSENT."""

    ABSENT = "absent"
    """Nothing of it exists (for a create whose call may still land, see the settle time)."""
    CREATING = "creating"
    """Asked for and on its way; `detail` and `progress` say how far."""
    READY = "ready"
    """Its real model answered a real completion (or embedding)."""
    DEGRADED = "degraded"
    """It was ready and does not answer as it should; it may recover."""
    FAILED = "failed"
    """It will not become ready; parts may remain and cost money until deleted."""
    DELETING = "deleting"
    """On its way out."""
    UNKNOWN = "unknown"
    """The platform could not be asked, or answered something unheard of. Nobody acts on this."""


class Handling(Enum):
    """What a driver makes of one thing the user wrote. None is ever dropped silently."""

    HONOURED = "honoured"
    TRANSLATED = "translated"
    """Done by other means, or in part; the finding's detail says how."""
    INACTIVE = "inactive"
    """Meant for another platform (`aws.*` while llama.cpp is active); kept for the day of the switch."""
    IGNORED = "ignored"
    """Has no meaning on this platform."""
    REJECTED = "rejected"
    """Refused; the model is not deployed until the file changes."""


class Finding(NamedTuple):
    """What becomes of one thing the user wrote.

    `key` is `model`, `context_size`, `runtime_flags[0]` or an option key; `detail` one sentence, without secrets,
    which for a refusal names the rule.
    """

    key: str
    handling: Handling
    detail: str = ""


class _Digested:
    """Room for a digest beside a value's fields: computed once, asked for often, and neither compared nor kept."""

    __slots__ = ("_digest",)
    _digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec(_Digested):
    """What the user wrote for one model, with interpolation done and project defaults merged in, nothing else.

    Our own defaults are not in here: a release of ours that changes a default must not re-create anybody's GPU.
    """

    model: str
    """The reference as written, `ai/smollm2`."""
    context_size: int | None = None
    """Tokens; None where the file says nothing."""
    runtime_flags: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """Flat `x-cloud-options`: key to the text the user wrote, trimmed. Values are read with `drivers.values`."""

    def fields(self) -> dict[str, str]:
        """The spec as flat `key -> text`, the form in which two specs are compared and changes are shown."""
        flat = {"model": self.model}
        if self.context_size is not None:
            flat["context_size"] = str(self.context_size)
        if self.runtime_flags:
            flat["runtime_flags"] = json.dumps(list(self.runtime_flags))
        return flat | dict(self.options)

    @property
    def digest(self) -> str:
        """First 12 hex digits of the SHA-256 over what the user wrote; equal specs, equal digests, in all releases."""
        try:
            return self._digest
        except AttributeError:
            canonical = json.dumps(self.fields(), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
            object.__setattr__(self, "_digest", hashlib.sha256(canonical.encode()).hexdigest()[:12])
            return self._digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One attempt to realise one spec of one model in one place.

    `id` is minted and stored before the first call; `name` is derived from it once (`drivers.naming`) and never
    recomputed. `handle` is what the driver asked us to remember (a port, an ARN); it never holds a secret.
    """

    id: str
    """A ULID: 26 characters, sortable by time."""
    lineage: str
    """Identity of the state store that minted the id (a UUID)."""
    project: str
    model: str
    """The key under `models:`."""
    name: str
    """The external name: `[a-z0-9-]`, letter first, at most 63 characters, valid on every platform."""
    spec: ModelSpec
    handle: Mapping[str, str] = field(default_factory=lambda: NOTHING)


class Auth(Enum):
    """How a client proves itself to an endpoint."""

    NONE = "none"
    API_KEY = "api-key"
    """`Authorization: Bearer`, with the key that `Endpoint.key_file` holds."""
    PLATFORM = "platform"
    """The platform's own expiring tokens; only the gateway can use it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where and how a model answers. `url` is a base URL that ends in `/v1/`, as seen from this host."""

    url: str
    model_id: str
    """What clients must send as `model`."""
    auth: Auth = Auth.NONE
    key_file: str | None = None
    """Absolute path of a file (mode 0600) whose first line is the key; the key itself is never passed around."""
    on_this_host: bool = False
    """True where the address is one of this host's own and a container must reach it through the host gateway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What the platform says about a deployment right now."""

    phase: Phase
    detail: str = ""
    """One sentence for people. Stable: equal situations give equal text, so no counters and no times."""
    endpoint: Endpoint | None = None
    """Set when READY, and kept while DEGRADED."""
    handle: Mapping[str, str] | None = None
    """The handle to remember from now on; None leaves the recorded one."""
    progress: float | None = None
    """0 to 1, for a transfer whose size is known."""
    look_again_s: float | None = None
    """Seconds after which the answer may have changed; None leaves it to the caller."""
    spec_digest: str | None = None
    """The digest in the owner tags; differs from the recorded one when somebody else changed the thing."""
    foreign: bool = False
    """ABSENT, and yet something is there, under its name or made with its request token, that does not carry our tags
    (any more). `detail` says what, because it may cost money that nobody here looks after."""
    denied: bool = False
    """UNKNOWN, and it stays so until credentials or permissions change: `detail` says which."""


def unknown(trouble: DriverError) -> Observation:
    """What is said of one of which its platform does not say how it is."""
    return Observation(phase=Phase.UNKNOWN, detail=str(trouble), denied=isinstance(trouble, Denied))


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a driver can do, as data: read without credentials, network or SDK."""

    updatable: frozenset[str] = frozenset()
    """Keys of `ModelSpec.fields()` whose change needs no new deployment."""
    billable: bool = False
    local: bool = False
    """Runs on this host and needs no network to be asked."""
    settle_s: float = 600.0
    """Seconds for which a call that was sent may still take effect; absence is only believed afterwards."""
    delete_again_s: float = 30.0
    """Seconds after which a deletion under way is asked for once more: some platforms say yes and do nothing."""
    startup_timeout_s: float = 1800.0
    """Default patience from create to READY, in seconds (`cloud.startup-timeout` overrides it)."""
    degraded_grace_s: float = 60.0
    """Seconds a DEGRADED deployment is given to recover before it is replaced."""


class Driver(Protocol):
    """One platform. Synchronous, because nothing here waits: one call, one answer, 30 s at most.

    1. `observe` changes nothing and answers for any deployment, also one that never existed.
    2. `create` twice makes one thing. What exists with our tags is adopted, what exists with somebody else's, or with
       none since somebody removed ours, is refused (`Taken`) and left alone. So is a request token that is spent:
       a create never says yes where nothing of ours is or will be.
    3. `create` after a half-done create completes it; `delete` removes all parts in the right order.
    4. No method waits for readiness. Long transfers are jobs that `observe` looks at: CREATING, "pulling, 40 %".
    5. Owner tags are part of the create call, never a second call.
    6. Only `drivers.errors` leave a driver.
    7. Clients, clock and process starter come in through the constructor; nothing happens on import.
    8. Handles, details and logs hold no secrets.
    """

    name: str
    capabilities: Capabilities

    def check(self, spec: ModelSpec) -> tuple[Finding, ...]:
        """One finding for everything in the spec, in the order of `spec.fields()`, flags one by one. Pure."""
        ...

    def observe(self, deployment: Deployment) -> Observation:
        """What the platform says. A platform that cannot be asked is `Unavailable` or phase UNKNOWN."""
        ...

    def observe_many(self, deployments: Sequence[Deployment]) -> Mapping[str, Observation]:
        """`observe` for many, by deployment id, in O(pages) calls. A missing id reads as UNKNOWN."""
        ...

    def create(self, deployment: Deployment) -> Observation:
        """Ask for it and return at once. Re-entrant."""
        ...

    def update(self, deployment: Deployment) -> Observation:
        """Bring it to `deployment.spec`; only called when all changed keys are in `capabilities.updatable`."""
        ...

    def delete(self, deployment: Deployment) -> Observation:
        """Ask for its removal. Absent is success: phase ABSENT."""
        ...

    def in_flight(self, deployment: Deployment) -> int | None:
        """How many requests it is answering right now; None where the platform does not tell. Never raises."""
        ...

    def owned(self, lineage: str) -> Iterable[Deployment]:
        """Everything on the platform that carries this lineage in its tags: complete, or an error."""
        ...


class Look(NamedTuple):
    """What one look before the first deployment came to, for `reconcile doctor`."""

    name: str
    ok: bool
    text: str
    """What was found; where that is not enough, what would mend it. Without secrets."""
    needed: bool = True
    """Whether a deployment fails without it."""


class Token(NamedTuple):
    """What a client of an endpoint with `Auth.PLATFORM` sends as its bearer token. Never stored, never logged."""

    text: str
    expires_at: datetime


# What a driver may offer beyond the contract; commands look for it by name.
#
#     logs(deployment, lines: int) -> Iterable[str]      the last lines of its server, oldest first
#     preflight() -> Iterable[Look]                      credentials, quota, access: read only, before money is spent
#     token(deployment) -> Token                         for an endpoint whose auth is PLATFORM
#     destination(spec) -> Mapping[str, str]             the beginning of a new deployment's handle: where it will go,
#                                                        written down before `create`, so that no lost answer and no
#                                                        changed setting makes it be looked for somewhere else
#     owned_at(lineage, specs) -> Iterable[Deployment]   `owned`, and also where these specs would lead


OWNER = "cmr:owner"


def owner_tags(deployment: Deployment) -> dict[str, str]:
    """The tags that mark an external object as ours. They go into the create call."""
    return {
        OWNER: "compose-model-reconciler",
        "cmr:lineage": deployment.lineage,
        "cmr:project": deployment.project,
        "cmr:model": deployment.model,
        "cmr:deployment": deployment.id,
        "cmr:spec": deployment.spec.digest,
    }
