"""AWS's errors → `drivers.errors`, in one place: what each code means for the next step.

The question behind every line is whether the call may have been applied. A code that nobody listed is `Ambiguous` after
a call that changes something: an endpoint is paid for by the hour, a second look is free.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from drivers.errors import Ambiguous, Denied, DriverError, Exhausted, Rejected, Unavailable

_THROTTLED = frozenset(
    {
        "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottledException", "RequestThrottled",
        "TooManyRequestsException", "RequestLimitExceeded", "BandwidthLimitExceeded", "SlowDown",
        "PriorRequestNotComplete", "EC2ThrottledException", "ProvisionedThroughputExceededException",
    }
)  # fmt: skip
_DENIED = frozenset(
    {
        "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "UnauthorizedAccess", "AuthFailure",
        "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", "SignatureDoesNotMatch",
        "IncompleteSignature", "InvalidSignatureException", "MissingAuthenticationToken", "ExpiredToken",
        "ExpiredTokenException", "RequestExpired", "OptInRequired", "Blocked", "PendingVerification", "NotAuthorized",
        "OperationNotPermitted", "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
    }
)  # fmt: skip
_QUOTA = frozenset(
    {
        "ResourceLimitExceeded", "LimitExceededException", "ServiceQuotaExceededException", "VcpuLimitExceeded",
        "InstanceLimitExceeded", "MaxSpotInstanceCountExceeded", "SecurityGroupLimitExceeded", "VolumeLimitExceeded",
        "TooManyTagsException", "LimitExceeded", "TooManyLoadBalancers", "TooManyTargetGroups", "TooManyListeners",
        "TooManyTargets", "ParameterLimitExceeded", "RulesPerSecurityGroupLimitExceeded",
    }
)  # fmt: skip
_CAPACITY = frozenset(
    {
        "InsufficientInstanceCapacity", "InsufficientCapacity", "InsufficientHostCapacity",
        "InsufficientReservedInstanceCapacity",
        "InsufficientFreeAddressesInSubnet", "InsufficientAddressCapacity", "SpotMaxPriceTooLow", "Unsupported",
        "UnfulfillableCapacity", "InsufficientVolumeCapacity",
    }
)  # fmt: skip
_WRONG = frozenset(
    {
        "ValidationException", "ValidationError", "InvalidParameterValue", "InvalidParameterCombination",
        "InvalidParameter",
        "InvalidParameterException", "MissingParameter", "UnknownParameter", "IdempotentParameterMismatch",
        "InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "InvalidSubnetID.NotFound", "InvalidGroup.NotFound",
        "UnsupportedOperation", "MalformedPolicyDocument", "InvalidUserData.Malformed", "InvalidInput",
        "InvalidInstanceType", "InvalidIamInstanceProfileArn.Malformed",
    }
)  # fmt: skip
_NOT_SENT = ("EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError")
"""An SSLError is not among them: it may also come while the answer is read."""
_NO_CREDENTIALS = (
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound", "NoRegionError",
    "TokenRetrievalError", "UnauthorizedSSOTokenError", "SSOTokenLoadError", "ConfigNotFound", "ConfigParseError",
    "NoAuthTokenError", "RefreshWithMFAUnsupportedError",
)  # fmt: skip

_REMEDIES = {
    Denied: "give the role the permissions of infra/aws, or other credentials; `reconcile doctor` says which are used",
}
QUOTA_REMEDY = "ask for more under Service Quotas, or name another instance type or region"
CAPACITY_REMEDY = "AWS has none free at the moment: name more instance types, zones or another region, or wait"


def code_of(error: Exception) -> str:
    """AWS's code of an error response, `ValidationException`; empty for anything else."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def message_of(error: Exception) -> str:
    """AWS's own sentence."""
    response = getattr(error, "response", None)
    found = response.get("Error", {}).get("Message") if isinstance(response, dict) else None
    return _plain(str(found or error))


def says(error: Exception, *parts: str) -> bool:
    """Whether AWS's sentence has one of the parts: most of SageMaker's errors share one code."""
    message = message_of(error).lower()
    return any(part.lower() in message for part in parts)


@contextmanager
def edge(doing: str, *, changes: bool = False) -> Iterator[None]:
    """Around calls of the SDK: what it raises leaves as one of `drivers.errors`. `changes`: the call may alter
    something, so that an answer which never came is `Ambiguous`."""
    try:
        yield
    except DriverError:
        raise
    except Exception as error:
        if not _is_foreign(error):
            raise
        raise translated(error, doing, changes=changes) from error


def translated(error: Exception, doing: str, *, changes: bool = False) -> DriverError:
    """The driver's error that says the same, with AWS's own words and what to do next."""
    kind, remedy = _kind(error, changes)
    text = f"{doing}: {_worded(error)}"
    return kind(f"{text}; {remedy}" if remedy else text)


def _kind(error: Exception, changes: bool) -> tuple[type[DriverError], str]:
    name, code = type(error).__name__, code_of(error)
    if name in _NO_CREDENTIALS:
        return Denied, "set up credentials as for the AWS command line, or name a profile under aws.credentials"
    if not code:
        return (Unavailable if name in _NOT_SENT or not changes else Ambiguous), ""
    for codes, kind, remedy in (
        (_THROTTLED, Unavailable, ""),
        (_DENIED, Denied, _REMEDIES[Denied]),
        (_QUOTA, Exhausted, QUOTA_REMEDY),
        (_CAPACITY, Exhausted, CAPACITY_REMEDY),
        (_WRONG, Rejected, ""),
    ):
        if code in codes:
            return kind, remedy
    return (Ambiguous if changes else Unavailable), ""


def _worded(error: Exception) -> str:
    code = code_of(error)
    return f"{code}: {message_of(error)}" if code else f"{type(error).__name__}: {message_of(error)}"


def _is_foreign(error: Exception) -> bool:
    return any(base.__module__.partition(".")[0] in ("botocore", "boto3") for base in type(error).__mro__)


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)[:600]
