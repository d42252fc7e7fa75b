"""Ids and names: minted once, stored before the first call, never recomputed for an old record.

The formula carries a version because a deployment that exists keeps the name it was created under.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

NAMING_VERSION = 1

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def mint_id(now: datetime, random_bytes: Callable[[int], bytes]) -> str:
    """A ULID: 48 bits of milliseconds since the POSIX epoch, 80 random bits. Sorts by time as text."""
    value = (int(now.timestamp() * 1000) << 80) | int.from_bytes(random_bytes(10), "big")
    return "".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))


def minted_at(deployment_id: str) -> datetime:
    """When an id was minted, to the millisecond: a deployment's age survives the loss of every record of it.

    Raises ValueError for what is no ULID.
    """
    try:
        digits = [_CROCKFORD.index(letter) for letter in deployment_id]
    except ValueError:
        digits = []
    if len(digits) != 26:
        raise ValueError(f"{deployment_id!r} is no deployment id: it has 26 digits of Crockford's base 32")
    value = sum(digit << shift for digit, shift in zip(digits, range(125, -1, -5), strict=True))
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=value >> 80)


def external_name(lineage: str, model: str, deployment_id: str) -> str:
    """The name of a deployment on its platform: at most 63 of `[a-z0-9-]`, letter first.

    It holds a hash of the lineage, so that two installations in one account never collide, and a hash of the
    deployment id, so that a retry of the same intent collides with itself.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[:24].rstrip("-") or "model"
    return f"cmr-{_short(lineage, 8)}-{slug}-{_short(f'{lineage}|{model}|{deployment_id}', 10)}"


def _short(text: str, length: int) -> str:
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:length]
