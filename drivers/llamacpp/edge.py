"""Where the operating system's words become the driver's: once, at the edge."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from drivers.base import Deployment
from drivers.errors import Denied, Exhausted, Rejected, Unavailable

_DISK = frozenset({errno.ENOSPC, errno.EDQUOT})
_PERMISSION = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


@contextmanager
def at_edge(doing: str, deployment: Deployment) -> Iterator[None]:
    """Translate what the operating system says, once."""
    try:
        yield
    except OSError as trouble:
        text = f"{doing} {deployment.name}: {trouble.strerror or trouble} ({trouble.filename or 'no file'})"
        if trouble.errno in _DISK:
            raise Exhausted(text) from trouble
        if trouble.errno in _PERMISSION:
            raise Denied(text) from trouble
        raise Unavailable(text) from trouble
    except ValueError as wrong:
        raise Rejected(f"{doing} {deployment.name}: {wrong}") from wrong
