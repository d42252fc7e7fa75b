"""An account as the journeys know a cloud, and labs in it: the installed command under a lineage of the test's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.lab import Lab
from state.sqlite import SqliteStore
from tests.journeys.cloud import Sizes
from tests.live.ground import Ground, environment_of
from tests.live.journal import RUN

IN_AN_ACCOUNT = {"cloud_bake": "10s", "cloud_removal_grace": "10s", "cloud_settle": "60s"}
AT_A_REHEARSAL = {"cloud_bake": "1s", "cloud_removal_grace": "1s", "cloud_settle": "1s"}


@dataclass
class Stage:
    """See `tests.journeys.cloud.Cloud`. One platform."""

    ground: Ground
    platform: str

    def __post_init__(self) -> None:
        self.ground.begins(self.platform)

    @property
    def environment(self) -> Mapping[str, str]:
        """Credentials as they were given to us, and the mark by which the sweep knows our processes."""
        given = environment_of(self.ground.account.consent.rehearsal, os.environ)
        return {**given, RUN: os.environ[RUN]}

    @property
    def account(self) -> str:
        return str(self.ground.account.settings.account)

    def region(self, example: str) -> str:
        return self.ground.account.region

    def sizes(self, platform: str) -> Sizes:
        """Without a GPU: that is what every account may have, and what costs least."""
        if platform == "aws-sagemaker":
            return Sizes("cpu", "ml.c7i.4xlarge", "ml.c7i.2xlarge")
        return Sizes("cpu", "c7i.4xlarge", "c7i.2xlarge")

    def bedrock_url(self, region: str) -> str:
        account = self.ground.account
        runtime = account.clients(account.places[0], "bedrock-runtime").reads.meta.endpoint_url
        return f"{runtime.rstrip('/')}/openai/v1/"

    def kinds(self, lab: Lab, expected: list[str]) -> list[str]:
        """Of what exists of the test's lineage. The last answer where the expected one does not come."""
        said: list[str] = []

        def look() -> bool:
            counted = self.ground.account.count(self.platform, self.ground.lineage)
            said[:] = sorted(thing.kind for thing in counted)
            return said == expected

        try:
            self.ground.eventually(f"{expected} and nothing else", look)
        except AssertionError:
            self.ground.check()
        return said

    def pass_time(self) -> None:
        self.ground.check()

    # -- labs ---------------------------------------------------------------------------------------------------------

    @property
    def patience(self) -> str:
        """For how long one command waits."""
        return "90s" if self.ground.account.consent.rehearsal else "60m"

    def settings(self) -> dict[str, Any]:
        """The operator's section `aws`, and an impatient timing."""
        consent = self.ground.account.consent
        written = yaml.safe_load(consent.settings.read_text(encoding="utf-8"))
        timing = AT_A_REHEARSAL if consent.rehearsal else IN_AN_ACCOUNT
        return {"aws": written["aws"], "timing": timing}

    def lab(self, folder: Path) -> Lab:
        """A lab whose record has the test's lineage."""
        made = Lab(folder, os.environ, settings=self.settings())
        made.environment |= self.environment
        shared = Path(os.path.expanduser("~/.aws"))
        if shared.is_dir():
            (Path(made.environment["HOME"]) / ".aws").symlink_to(shared)  # profiles, and tokens of a single sign-on
        made.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        SqliteStore.create(made.state_dir / "state.db", lineage=self.ground.lineage).close()
        return made
