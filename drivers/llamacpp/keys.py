"""The key of a model, kept beside its deployments, so that the next one answers to the same key and no service that was
given it needs a restart: after a crash, and in every replacement, where a successor exists before the old one goes.

It goes with the last deployment: whoever still has it then must not get into a later model of the same name.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from drivers.base import Deployment
from drivers.llamacpp.rundir import RunFolder, Unreadable, folders


def model_identity(deployment: Deployment) -> str:
    """The model that a deployment is one of, unlike that of any other project or installation."""
    return f"{deployment.lineage}|{deployment.project}|{deployment.model}"


def kept_key(deployment: Deployment, run_root: Path) -> Path:
    """Where the key of the deployment's model is kept."""
    digest = hashlib.sha256(model_identity(deployment).encode()).hexdigest()[:16]
    return run_root / "keys" / digest


def forget_with_the_last(deployment: Deployment, run_root: Path) -> None:
    """Remove the model's key unless some folder is, or may be, a deployment of that model. Raises OSError."""
    if not any(_may_be_of(folder, deployment) for folder in folders(run_root)):
        kept_key(deployment, run_root).unlink(missing_ok=True)


def _may_be_of(folder: RunFolder, deployment: Deployment) -> bool:
    try:
        record = folder.read()
    except Unreadable:
        return True
    return record is not None and model_identity(record.deployment) == model_identity(deployment)
