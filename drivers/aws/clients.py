"""Clients of the SDK, each made once: one session per set of credentials, one client per service and region.

Making one costs a tenth of a second, using one from many threads nothing; making them at the same time is not safe, so
a lock is around it. The SDK is imported when the first client is wanted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, NamedTuple

from drivers.aws import patience
from drivers.aws.errors import edge
from drivers.aws.place import ACCOUNT, CREDENTIALS, REGION, Place, place_for
from drivers.aws.settings import AwsSettings
from drivers.aws.tokens import left_s, mint
from drivers.base import Deployment, ModelSpec, Token
from drivers.errors import Denied

READS = 3
"""Attempts of a call that changes nothing, as far as the time of a method goes (`patience`). What changes something is
sent once: the reconciler looks and decides."""


class Client(NamedTuple):
    """One service in one place. What is called through `reads` may be repeated, what is called through `calls` is sent
    once."""

    reads: Any
    calls: Any
    region: str


class Clients:
    """`place` to clients. Raises Denied where there is no SDK, no region, no such profile, or another account.

    `clock` is monotonic, in seconds: the time of the drivers' methods is taken by it."""

    def __init__(self, settings: AwsSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self.clock = settings, clock
        self._sessions: dict[Place, Any] = {}
        self._made: dict[tuple[Place, str], Client] = {}
        self._accounts: dict[str | None, str] = {}
        self._lock = Lock()

    def __call__(self, place: Place, service: str) -> Client:
        """The clients of a service, such as `sagemaker`."""
        with self._lock, edge(f"connecting to AWS's {service}"):
            key = (place, service)
            if key not in self._made:
                self._made[key] = self._make(place, service)
            return self._made[key]

    def region(self, place: Place) -> str:
        """The region of a place, with the profile's own where nobody named one."""
        with self._lock, edge("reading the AWS profile"):
            return self._region(place)

    def credentials(self, place: Place) -> Any:
        """Credentials as they are now, for what is signed offline."""
        with self._lock, edge("reading AWS credentials"):
            return self._credentials(place).get_frozen_credentials()

    def token(self, place: Place, service: str, longest_s: int, now: datetime) -> Token:
        """A bearer token for the OpenAI-compatible URLs of `sagemaker` or `bedrock`, made offline. It ends with the
        credentials it is made from, after `longest_s` at most."""
        with self._lock, edge("reading AWS credentials"):
            found = self._credentials(place)
            found.get_frozen_credentials()  # renews those that are about to end
            # In this order: should somebody renew them meanwhile, the token is good for longer than we say.
            good_s = left_s(found, longest_s)
            text = mint(found.get_frozen_credentials(), service, self._region(place), expires_s=max(1, good_s))
        return Token(text, now + timedelta(seconds=good_s))

    def account(self, place: Place) -> str:
        """The account (12 digits) that the credentials belong to, asked once per process."""
        with self._lock:
            if place.profile in self._accounts:
                return self._accounts[place.profile]
        with edge("asking AWS whose credentials these are"):
            found = str(self(place, "sts").reads.get_caller_identity()["Account"])
        with self._lock:
            self._accounts[place.profile] = found
        return found

    def destination(self, spec: ModelSpec) -> dict[str, str]:
        """Where a new deployment of a spec goes, as its handle says it."""
        place = place_for(spec, self._settings)
        return {REGION: self.region(place), CREDENTIALS: place.credentials, ACCOUNT: self.account(place)}

    def is_region(self, name: str | None) -> bool:
        """Whether the SDK knows a region of this name, in any partition; nobody is asked."""
        with self._lock, edge("reading the SDK's list of regions"):
            session = self._session(Place(None, None))
            return any(name in session.get_available_regions("ec2", one) for one in session.get_available_partitions())

    def guard(self, place: Place, deployment: Deployment) -> None:
        """Raise Denied when the credentials belong to another account than the one that the deployment is in. Whoever
        only looks must not look into another one either: what is absent there would be forgotten."""
        self.account(place)  # it goes into the handle: not to be known is no surprise after something was made
        self.guard_account(place, deployment.spec.options, deployment.handle.get(ACCOUNT))

    def guard_account(self, place: Place, options: Mapping[str, str], known: str | None = None) -> None:
        """Raise Denied when the credentials belong to another account than the operator, or the file, expects, or than
        the one that is `known`."""
        given = (self._settings.account, options.get("cloud.account"), known)
        expected = dict.fromkeys(each for each in given if each)
        if not expected:
            return
        account = self.account(place)
        for each in expected:
            if each != account:
                raise Denied(
                    f"the credentials '{place.credentials}' belong to account {account}, not to {each}: nothing is done"
                )

    def _make(self, place: Place, service: str) -> Client:
        from botocore.config import Config

        region, session = self._region(place), self._session(place)
        # Without it, a Bedrock API key in the environment (AWS_BEARER_TOKEN_BEDROCK) would be sent instead of what the
        # place's credentials sign, whosever it is: to another account than the one that was guarded.
        signed = Config(auth_scheme_preference="sigv4")

        def made(attempts: int) -> Any:
            return session.create_client(service, region_name=region, config=_config(attempts).merge(signed))

        return Client(made(READS), made(1), region)

    def _region(self, place: Place) -> str:
        found = place.region or self._session(place).get_config_variable("region")
        if not found:
            raise Denied(
                "no AWS region to look in: write aws.region in the settings, or set AWS_DEFAULT_REGION; cloud.region "
                "in a file says where one model goes, and not where to look for what is ours"
            )
        allowed = (self._settings.region, *self._settings.regions)
        if place.region is None and self._settings.regions and found not in allowed:
            raise Denied(f"the AWS profile's region is {found}, and aws.regions has no such: nobody would look there")
        return str(found)

    def _credentials(self, place: Place) -> Any:
        """Credentials that renew themselves where they can."""
        found = self._session(place).get_credentials()
        if found is None:
            raise Denied("no AWS credentials were found: set them up as for the AWS command line")
        return found

    def _session(self, place: Place) -> Any:
        key = Place(None, place.profile)
        if key not in self._sessions:
            try:
                import botocore.session
            except ImportError as missing:
                raise Denied("the AWS SDK is not installed: pip install 'compose-model-reconciler[aws]'") from missing
            # botocore's own session: boto3 adds resources and transfers that nothing here needs, and their start-up.
            session = botocore.session.Session(profile=place.profile)
            # For the clients, too, that the session makes by itself, to get credentials.
            session.register("before-send", patience.before_send)
            session.set_default_client_config(_config(1))
            self._sessions[key] = session
        return self._sessions[key]


def _config(attempts: int) -> Any:
    from botocore.config import Config

    return Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=patience.CONNECT_S,
        read_timeout=patience.READ_S,
        max_pool_connections=16,
        user_agent_extra="compose-model-reconciler",
    )
