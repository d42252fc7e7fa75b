"""When a deployment's machines end by themselves, because nobody is left who would delete them. Pure.

`cloud.ttl` counts from when the deployment's id was minted, and the reconciler deletes it then. Where there is no
reconciler any more, or its credentials have expired, what stands on the platform does it: a single machine reads the
moment in its own tag (guard.py), and a group of machines has an action scheduled for it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from drivers.aws.tags import asked_for
from drivers.base import Deployment, ModelSpec
from drivers.naming import minted_at
from drivers.values import duration

EXPIRES = "cmr:expires-at"
"""The tag of a machine with the moment, and the key of a fleet's handle with the one that is scheduled."""
GRACE = timedelta(hours=1)
"""How long a reconciler that is alive has for its own deletion: it lets a replacement start and clients move first."""
UNSETTLED = "unsettled"
"""The digest to report of a deployment whose platform has another moment than its spec: update is called for it."""
_FORM = "%Y-%m-%dT%H:%M:%SZ"
_READABLE = re.compile(r"(?!(?:\.|\.\.|_index)$)[A-Za-z0-9+\-=.,_:@]+")


def expires_at(deployment: Deployment) -> datetime | None:
    """The moment, to the second; None where the spec names no time, or the id is not one of ours and holds none."""
    written = deployment.spec.options.get("cloud.ttl")
    seconds = duration(written) if written is not None else None
    if seconds is None:
        return None
    try:
        born = minted_at(deployment.id)
    except ValueError:
        return None
    return (born + timedelta(seconds=seconds) + GRACE).replace(microsecond=0)


def expiry(deployment: Deployment) -> str:
    """The same as the tag has it, of which an earlier one sorts first; empty where there is none."""
    moment = expires_at(deployment)
    return text_of(moment) if moment is not None else ""


def text_of(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(_FORM)


def moment_of(text: str) -> datetime | None:
    """The moment of a tag; None where somebody wrote something else."""
    try:
        return datetime.strptime(text, _FORM).replace(tzinfo=UTC)
    except ValueError:
        return None


def can_read_tags(spec: ModelSpec) -> bool:
    """Whether AWS shows a machine of this spec its own tags: not where `cloud.tags` has a key with a space or slash."""
    return all(_READABLE.fullmatch(key) for key in asked_for(spec))
