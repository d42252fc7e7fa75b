"""What an endpoint's containers wrote, from CloudWatch, where SageMaker puts it: a group for each endpoint, in it a
stream for each instance of a variant."""

from __future__ import annotations

from typing import Any

from drivers.aws.errors import code_of, edge
from drivers.aws.sagemaker.options import is_elastic
from drivers.base import Deployment

MOST_STREAMS = 4
"""The newest ones: one for each replica, and those of the instances before an update."""


def group(deployment: Deployment) -> str:
    kind = "InferenceComponents" if is_elastic(deployment.spec) else "Endpoints"
    return f"/aws/sagemaker/{kind}/{deployment.name}"


def tail(client: Any, deployment: Deployment, lines: int) -> tuple[str, ...]:
    """The last lines of all its containers in the order of time; none where nothing was written yet."""
    name = group(deployment)
    with edge(f"reading the log {name}"):
        try:
            said = client.describe_log_streams(
                logGroupName=name, orderBy="LastEventTime", descending=True, limit=MOST_STREAMS
            )
            events = [event for stream in said["logStreams"] for event in _events(client, name, stream, lines)]
        except Exception as error:
            if code_of(error) == "ResourceNotFoundException":
                return ()
            raise
    events.sort(key=lambda event: event["timestamp"])
    return tuple(event["message"].rstrip("\n") for event in events[-lines:])


def _events(client: Any, name: str, stream: Any, lines: int) -> list[Any]:
    said = client.get_log_events(
        logGroupName=name, logStreamName=stream["logStreamName"], limit=min(lines, 10_000), startFromHead=False
    )
    found: list[Any] = said["events"]
    return found
