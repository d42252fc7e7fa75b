"""Words of the vocabulary, for tests that put any of them together."""

from __future__ import annotations

from drivers import catalog
from drivers.values import read


def is_well_formed(key: str, text: str) -> bool:
    """Whether an option may have this text, on whatever platform."""
    entry = catalog.vocabulary().keys[key]
    try:
        read(entry.type, text, entry.choices)
    except ValueError:
        return False
    return True
