"""The platform of `server.py` for a lab: started, its driver installed beside the lab, and asked about itself.

Nothing it does costs time, so what is measured or waited for is the reconciler's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from infra.cloud.driver import ADDRESS, PLATFORM, ask
from infra.lab import CHECKOUT, Lab

TIMING = {
    "poll_interval": "1s",
    "cloud_bake": "0s",
    "cloud_removal_grace": "0s",
    "local_bake": "0s",
    "local_removal_grace": "0s",
    "sweep_grace": "0s",
}
"""Nobody's patience is waited for."""
_METADATA = "Metadata-Version: 2.1\nName: loopback-cloud\nVersion: 1.0\n"
_ENTRY_POINTS = f"[reconciler.drivers]\n{PLATFORM} = infra.cloud.driver:LoopbackDriver\n"


class LoopbackCloud:
    """The running platform; a context manager that ends it."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        lab.state_dir.mkdir(exist_ok=True)
        _install(lab.folder / "packages")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "infra.cloud.server", lab.state_dir / "state.db", lab.state_dir, lab.folder],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.address = f"127.0.0.1:{int(self._process.stdout.readline())}"
        lab.environment |= {
            ADDRESS: self.address,
            "PYTHONPATH": os.pathsep.join((str(lab.folder / "packages"), str(CHECKOUT))),
        }

    def world(self) -> dict[str, Any]:
        """What is there, what was done, and what the platform found wrong with it."""
        told: dict[str, Any] = ask(self.address, "world")
        return told

    def keep(self) -> None:
        """Remember the world as it is, for `restore`."""
        ask(self.address, "keep")

    def restore(self) -> None:
        ask(self.address, "restore")

    def latencies(self, *, create_s: float, delete_s: float) -> None:
        ask(self.address, "set", json.dumps({"create_s": create_s, "delete_s": delete_s}))

    def __enter__(self) -> LoopbackCloud:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()  # it ends with its standard input


def _install(folder: Path) -> None:
    """The driver, as an installer would leave a package that brings one."""
    info = folder / "loopback_cloud-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(_METADATA, encoding="utf-8")
    (info / "entry_points.txt").write_text(_ENTRY_POINTS, encoding="utf-8")
