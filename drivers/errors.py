"""The only exceptions that may leave a driver. Each one answers "what now?".

    DriverError
    ├── Rejected      the file must change: the platform will never accept this spec
    │   └── Taken     the name or the request token is used up: only another attempt, under another one, can succeed
    ├── Denied        the credentials or the operator's settings must change
    ├── Exhausted     quota or capacity: try again much later, or somewhere else
    ├── Unavailable   definitely not applied: back off and ask again
    └── Ambiguous     may or may not have been applied: look before acting again

A driver translates every foreign exception once, at its edge, `raise … from exc`. Whatever cannot be told apart is
`Ambiguous`: taking an applied call for a failed one is how endpoints leak.
"""

from __future__ import annotations


class DriverError(Exception):
    """What was being done, to which thing, and what to do next, in one sentence without secrets.

    `retry_after_s` is the platform's own wish, in seconds, where it gave one.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Rejected(DriverError):
    """The platform will never accept this spec; only a new commit helps."""


class Taken(Rejected):
    """Something under exactly this name, or made with this request token, is not ours by its tags, and was left alone;
    or what the token made is gone, and it makes nothing any more."""


class Denied(DriverError):
    """Credentials, permissions or the operator's settings must change first."""


class Exhausted(DriverError):
    """No quota, memory, disk or capacity at the moment."""


class Unavailable(DriverError):
    """The call was certainly not applied; back off and ask again."""


class Ambiguous(DriverError):
    """The call may have been applied; observe before doing anything else."""
