"""One local AWS per process, as new for every test that asks for it. Clients are made once, since each costs time."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.aws import clients
from drivers.aws.settings import AwsSettings
from infra.localaws.localaws import LocalAws


@pytest.fixture(scope="session")
def running_aws() -> Iterator[LocalAws]:
    with LocalAws() as cloud:
        yield cloud


@pytest.fixture
def aws(running_aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LocalAws:
    """A new world, which every AWS SDK of this process talks to, with nobody's own settings of AWS in the way."""
    running_aws.reset()
    for name, value in running_aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    return running_aws


@pytest.fixture(scope="session")
def aws_clients(running_aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[clients.Clients]:
    """The drivers' own clients, but that a read is sent once as well: a lost call is an error, and nobody waits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clients, "READS", 1)
        yield clients.Clients(AwsSettings(key_root=tmp_path_factory.mktemp("keys")))


@pytest.fixture
def localhost_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that end in `.localhost` are this machine, as RFC 6761 says and not every C library does."""
    look_up = socket.getaddrinfo

    def found(host: Any, *rest: Any, **named: Any) -> Any:
        is_here = isinstance(host, str) and host.endswith(".localhost")
        return look_up("127.0.0.1" if is_here else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", found)
