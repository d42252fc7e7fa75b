"""Faults that a test has scripted, and which of them a call runs into."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from infra.localaws.calls import Call
from infra.localaws.errors import AwsError, Protocol


class Kind(Enum):
    """What goes wrong."""

    REQUEST_LOST = "request-lost"
    """The connection breaks before the cloud saw the call: nothing is done."""
    RESPONSE_LOST = "response-lost"
    """It is done, and the connection breaks before the answer."""
    THROTTLED = "throttled"
    BROKEN = "broken"
    """Status 500; nothing is done."""
    DENIED = "denied"
    REFUSED = "refused"
    """Any other error: `code`, `message` and `status` say which."""
    SLOW = "slow"
    """Done and answered, `seconds` of real time later."""


@dataclass(slots=True)
class Fault:
    """One fault, for calls that match all that is given, after `skip` of them, `times` times.

    `at` is a call's number in the journal, `operation` a name as in the SDK's documentation (`CreateEndpoint`).
    """

    kind: Kind
    at: int | None = None
    service: str = ""
    operation: str = ""
    skip: int = 0
    times: int = 1
    seconds: float = 0.0
    message: str = ""
    code: str = "ValidationException"
    status: int = 400

    def matches(self, call: Call) -> bool:
        return (
            (self.at is None or self.at == call.number)
            and self.service in ("", call.service)
            and self.operation in ("", call.operation)
        )


class Faults:
    """The scripted faults that have not happened yet."""

    def __init__(self) -> None:
        self._scripted: list[Fault] = []

    def script(self, fault: Fault) -> None:
        self._scripted.append(fault)

    def clear(self) -> None:
        self._scripted.clear()

    def take(self, call: Call) -> Fault | None:
        """The fault that this call runs into, which is thereby used up once."""
        for fault in self._due(call):
            fault.times -= 1
            if fault.times == 0:
                self._scripted.remove(fault)
            return fault
        return None

    def _due(self, call: Call) -> Iterator[Fault]:
        for fault in tuple(self._scripted):
            if not fault.matches(call):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            yield fault


def error_of(fault: Fault, call: Call) -> AwsError | None:
    """The error that a fault answers with, as the call's service says it; None where it answers otherwise."""
    if fault.kind is Kind.BROKEN:
        return AwsError("InternalFailure", fault.message or "The request processing has failed.", 500)
    if fault.kind is Kind.THROTTLED:
        text = fault.message or "Rate exceeded"
        if call.protocol is Protocol.EC2:
            return AwsError("RequestLimitExceeded", fault.message or "Request limit exceeded.", 503)
        status = 400 if call.protocol in (Protocol.JSON, Protocol.QUERY) else 429
        return AwsError("Throttling" if call.protocol is Protocol.QUERY else "ThrottlingException", text, status)
    if fault.kind is Kind.DENIED:
        return _denied(fault, call)
    if fault.kind is Kind.REFUSED:
        return AwsError(fault.code, fault.message, fault.status)
    return None


def _denied(fault: Fault, call: Call) -> AwsError:
    if call.protocol is Protocol.EC2:
        text = "You are not authorized to perform this operation."
        return AwsError("UnauthorizedOperation", fault.message or text, 403)
    action = f"{call.service}:{call.operation}"
    text = (
        f"User: arn:aws:iam::{call.account}:user/local is not authorized to perform: {action} "
        f"because no identity-based policy allows the {action} action"
    )
    code = "AccessDenied" if call.protocol is Protocol.QUERY else "AccessDeniedException"
    return AwsError(code, fault.message or text, 400 if call.protocol is Protocol.JSON else 403)
