"""Whether a run may touch an account: what a person must have said before, and what is missing otherwise. Pure.

Two variables are asked for, so that neither a copied line nor an exported one alone starts to spend money; an address
other than AWS's own is believed only where the run was said to be a rehearsal on the local cloud.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from tests.egress import stays_here
from tests.parts import CHECKOUT

LIVE, BUDGET, SETTINGS = "CMR_LIVE", "CMR_LIVE_BUDGET_USD", "CMR_LIVE_SETTINGS"
JOURNAL, NETWORK, AT_MOST = "CMR_LIVE_JOURNAL", "CMR_LIVE_NETWORK", "CMR_LIVE_AT_MOST_MIN"
ACCOUNT, REHEARSAL = "aws", "local"
_ENDPOINT = "AWS_ENDPOINT_URL"


class NotAsked(Exception):
    """The run was not asked for, or not completely; the text says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What a person said."""

    budget_usd: float
    settings: Path
    """The operator's `reconciler.yaml`, whose section `aws` says where and as what things are made."""
    journal: Path
    rehearsal: bool = False
    """The local cloud is meant, not an account."""
    network: IPv4Network | IPv6Network | None = None
    """Where machines of EC2 can be reached from here."""
    at_most_min: float = math.inf
    """No test takes longer, minutes."""

    @property
    def every_s(self) -> float:
        """How long is waited between two looks at what takes its time."""
        return 0.1 if self.rehearsal else 10.0

    @property
    def lag_s(self) -> float:
        """For how long a listing may be behind the truth."""
        return 5.0 if self.rehearsal else 300.0


def consent(environment: Mapping[str, str]) -> Consent:
    """Raises NotAsked with everything that is missing or contradicts itself."""
    troubles = tuple(_troubles(environment))
    if troubles:
        raise NotAsked("nothing is made in any AWS account: " + "; ".join(troubles) + " (tests/live/README.md)")
    return Consent(
        budget_usd=float(environment[BUDGET]),
        settings=Path(environment[SETTINGS]),
        journal=journal_of(environment),
        rehearsal=environment[LIVE] == REHEARSAL,
        network=ip_network(environment[NETWORK]) if environment.get(NETWORK) else None,
        at_most_min=float(environment.get(AT_MOST) or math.inf),
    )


def journal_of(environment: Mapping[str, str]) -> Path:
    """The file of all that was ever made."""
    return Path(environment.get(JOURNAL) or CHECKOUT / ".live" / "journal.jsonl")


def _troubles(environment: Mapping[str, str]) -> Iterator[str]:
    kind = environment.get(LIVE, "")
    if kind not in (ACCOUNT, REHEARSAL):
        yield f"{LIVE} must be '{ACCOUNT}', or '{REHEARSAL}' for a rehearsal on the local cloud"
    if not (_number(environment.get(BUDGET)) or 0) > 0:
        yield f"{BUDGET} must be the US dollars that the run may cost"
    if not Path(environment.get(SETTINGS) or "/nonexistent").is_file():
        yield f"{SETTINGS} must name a reconciler.yaml with a section aws"
    if environment.get(AT_MOST) and not (_number(environment[AT_MOST]) or 0) > 0:
        yield f"{AT_MOST} must be minutes"
    try:
        ip_network(environment.get(NETWORK) or "10.0.0.0/8")
    except ValueError:
        yield f"{NETWORK} must be a network, such as 10.0.0.0/16"
    yield from _elsewhere(kind, environment)


def _elsewhere(kind: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Whether calls would go to somebody else than was said."""
    named = sorted(name for name in environment if name.startswith(_ENDPOINT) and environment[name])
    if kind == REHEARSAL:
        if _ENDPOINT not in named:
            yield f"a rehearsal needs {_ENDPOINT}, as `python -m infra.localaws` prints it"
        for name in named:
            if not stays_here(urlsplit(environment[name]).hostname or ""):
                yield f"{name} leads away from this machine: that is no rehearsal"
    elif named:
        yield f"{', '.join(named)} is set: the calls would not go to AWS (for the local cloud, set {LIVE}={REHEARSAL})"


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
