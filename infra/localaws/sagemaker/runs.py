"""The containers that run, and where their lines go: to CloudWatch Logs, as SageMaker does it.

`/aws/sagemaker/Endpoints/NAME` has a stream per variant and instance, `/aws/sagemaker/InferenceComponents/NAME` is for
components. On AWS these groups stay when the endpoint is gone, and so they do here.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from infra.localaws.containers import Container, State
from infra.localaws.overlay import Surroundings

ENDPOINTS, COMPONENTS = "/aws/sagemaker/Endpoints/", "/aws/sagemaker/InferenceComponents/"


@dataclass(slots=True)
class Run:
    """Where one container's lines go, and how many of them are there already."""

    region: str
    group: str
    stream: str
    written: int = 0


class Runs:
    """All containers of hosting, by their keys."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._runs: dict[str, Run] = {}

    def start(self, key: str, container: Container, region: str, group: str, variant: str) -> None:
        """Start a container for a variant, unless it runs."""
        if key not in self._runs:
            instance = f"i-{sha256(key.encode()).hexdigest()[:17]}"
            self._runs[key] = Run(region, group, f"{variant}/{instance}")
            self._around.containers.start(key, container)

    def state(self, key: str) -> State:
        return self._around.containers.state(key)

    def stop(self, key: str) -> None:
        """End it; its last lines are kept."""
        run = self._runs.pop(key, None)
        if run is not None:
            self._carry(key, run)
            self._around.containers.stop(key)

    def bring_logs_up_to_date(self) -> None:
        """All lines that were written by now are in CloudWatch Logs afterwards."""
        for key, run in self._runs.items():
            self._carry(key, run)

    def _carry(self, key: str, run: Run) -> None:
        new = self._around.containers.lines(key)[run.written :]
        if not new:
            return
        run.written += len(new)
        backend = self._around.moto.backend("logs", run.region)
        if run.group not in backend.groups:
            backend.create_log_group(run.group, {})
        backend.ensure_log_stream(run.group, run.stream)
        at = int(self._around.clock.now().timestamp() * 1000)
        # Straight into the stream: moto refuses what is more than two hours ahead of real time, and our clock may be.
        backend.groups[run.group].streams[run.stream].put_log_events(
            [{"timestamp": at, "message": line} for line in new]
        )

    def reset(self) -> None:
        """Forget them; the cloud has ended them all."""
        self._runs.clear()
