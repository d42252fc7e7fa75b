"""The local AWS cloud for a test: in this process (`LocalAws`) or in its own (`AwsProcess`), with the same verbs.

with LocalAws() as cloud:
    client = boto3.client("sagemaker", **cloud.credentials)      # or cloud.environment, for a command
    ...
    cloud.advance(300)
    assert cloud.books() == ()
"""

from __future__ import annotations

import json
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, TypeVar

from infra.localaws.calls import ACCESS_KEY, SECRET_KEY
from infra.localaws.overlay import Entry

if TYPE_CHECKING:
    from infra.localaws.servers import Servers

REGION = "us-east-1"
Self = TypeVar("Self", bound="Aws")


class Aws(ABC):
    """A local cloud that runs, and what one can do with it behind AWS's back. A context manager that ends it."""

    port: int

    @abstractmethod
    def perform(self, verb: str, **arguments: Any) -> Any:
        """Do one thing of the back door, also one that an overlay has added."""

    @abstractmethod
    def stop(self) -> None:
        """End it, and everything that it started."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs so that an AWS SDK in it talks to this cloud and to nothing else."""
        return environment(self.port)

    @property
    def credentials(self) -> dict[str, str]:
        """The same as arguments of `boto3.client`."""
        return {
            "endpoint_url": self.url,
            "aws_access_key_id": ACCESS_KEY,
            "aws_secret_access_key": SECRET_KEY,
            "region_name": REGION,
        }

    def advance(self, seconds: float) -> None:
        """It is so much later, and what was due by then has happened."""
        self.perform("advance", seconds=seconds)

    def latencies(self, **seconds: float) -> None:
        """How long the cloud takes from now on: `create_s`, `update_s`, `delete_s`, `index_s`."""
        self.perform("latencies", **seconds)

    def fault(self, kind: str, **given: Any) -> None:
        """Script a fault: a kind of `faults.Kind`, and `at`, `service`, `operation`, `skip`, `times`, `seconds`,
        `message`, `code`, `status` of `faults.Fault`."""
        self.perform("script", kind=kind, **given)

    def clear_faults(self) -> None:
        """Those that did not happen will not."""
        self.perform("clear-faults")

    def capacity(self, key: str, instances: int | None) -> None:
        """So many instances of a type can run (`ml.g6.xlarge`); 0 is a lack of capacity, None no limit."""
        self.perform("capacity", key=key, instances=instances)

    def quota(self, key: str, instances: int | None) -> None:
        """So many the account may have; None is no limit."""
        self.perform("quota", key=key, instances=instances)

    def calls(self) -> tuple[str, ...]:
        """All API calls so far, in order: `sagemaker.CreateEndpoint`."""
        return tuple(self.perform("calls"))

    def counts(self) -> Mapping[str, int]:
        """How often each came."""
        counts: Mapping[str, int] = self.perform("counts")
        return counts

    def forget_calls(self) -> None:
        """Count from 1 again."""
        self.perform("forget-calls")

    def books(self) -> tuple[Entry, ...]:
        """Everything that exists and did not at the baseline."""
        return tuple(Entry(**one) for one in self.perform("books"))

    def usd_per_hour(self) -> float:
        """What all of that costs."""
        return round(sum(entry.usd_per_hour for entry in self.books()), 4)

    def containers(self) -> tuple[str, ...]:
        """The containers that run, by keys that begin with the region and the endpoint's or component's name."""
        return tuple(self.perform("containers"))

    def baseline(self) -> None:
        """What exists now belongs to the operator (roles, networks): the books do not tell of it."""
        self.perform("baseline")

    def reset(self) -> None:
        """A new world."""
        self.perform("reset")

    def show_status(self, endpoint: str, status: str | None) -> None:
        """SageMaker says this of an endpoint from now on, whatever is true (`SystemUpdating`, or a word that nobody has
        heard of); None is the truth again."""
        self.perform("show-status", region=REGION, endpoint=endpoint, status=status)

    def scale(self, resource: str, count: int) -> int:
        """What autoscaling would decide: so many instances or copies (`endpoint/NAME/variant/NAME`,
        `inference-component/NAME`), kept within the bounds of the target; how many those are."""
        decided: int = self.perform("scale", region=REGION, resource=resource, count=count)
        return decided

    def break_containers(self, text: str | None) -> None:
        """Containers with this text in their image or environment fail their health check; None makes all well. Only
        for those that echo: real ones break by themselves."""
        self.perform("break-containers", text=text)

    def fail_answers(self, text: str | None) -> None:
        """The same for those that come up well and then answer every request with status 500."""
        self.perform("fail-answers", text=text)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class LocalAws(Aws):
    """The cloud in this process; moto's state is one per process, so is this. `servers` run real model servers as
    containers (`servers.Servers`); without them containers echo."""

    def __init__(self, servers: Servers | None = None, port: int = 0) -> None:
        # moto takes a third of a second to import, and whoever only talks to another process needs none of it.
        from infra.localaws.cloud import Cloud
        from infra.localaws.http import Server

        self.cloud = Cloud(servers)
        self._server = Server(self.cloud.answer, port)
        self.port = self._server.port

    def perform(self, verb: str, **arguments: Any) -> Any:
        return self.cloud.perform(verb, **arguments)

    def stop(self) -> None:
        self._server.stop()
        self.cloud.reset()


class AwsProcess(Aws):
    """`python -m infra.localaws` with these arguments, until it is stopped or this process ends."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "infra.localaws", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the local cloud did not start: exit status {self._process.wait()}")
        self.port = json.loads(line)["port"]
        self.process_id = self._process.pid

    def perform(self, verb: str, **arguments: Any) -> Any:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request("POST", f"/local/{verb}", json.dumps(arguments))
            answer = connection.getresponse()
            said = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise ValueError(said["error"])
        return said

    def stop(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(30)
        if self._process.stdout is not None:
            self._process.stdout.close()


def environment(port: int) -> dict[str, str]:
    """The variables of an AWS SDK that lead to a cloud on this port."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
