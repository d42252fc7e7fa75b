"""How an engine goes about it: the operator's choice, or a person's, the same for all passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.moment import Removals, Rules
from reconciler.policy import Policy
from reconciler.sweep import EVERY_S, GRACE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How this engine goes about it; the operator's choice, the same for all passes."""

    rules: Mapping[str, Rules]
    policy: Policy = field(default_factory=Policy)
    holder: str = "reconciler"
    lease_ttl_s: float = 60.0
    sweep_every_s: float = EVERY_S
    """How often every platform is asked what it has of ours."""
    sweep_grace_s: float = GRACE_S
    """For how long something that came back after it was forgotten is left alone."""
    roll_out: bool = False
    removals: Removals = Removals.RIPEN
    forced: bool = False
    anew: bool = False
    """A person asks for it now: back-off and earlier failures are forgotten when the lease begins."""
