"""infra/aws/iam/bedrock.json lets the driver do what it does, and nothing to what is not ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from drivers.aws.bedrock.wish import Mode
from drivers.aws.clients import Clients
from drivers.base import Phase
from infra.localaws.localaws import LocalAws
from tests import parts
from tests.drivers.bedrocks import Bedrocks, settings

POLICY = json.loads((parts.CHECKOUT / "infra" / "aws" / "iam" / "bedrock.json").read_text(encoding="utf-8"))
ASKING = {
    "bedrock:CallWithBearerToken",
    "bedrock:InvokeModel",
    "bedrock:InvokeModelWithResponseStream",
    "bedrock-mantle:CallWithBearerToken",
    "bedrock-mantle:CreateInference",
}
"""What clients of the URLs need, and the readiness check."""
OTHERS = {"iam:PassRole", "bedrock:TagResource", "ssm:GetParameter"}
"""Beside Bedrock's own calls: handing over the import's role, tagging in a create call, reading keys."""


def statements() -> list[tuple[set[str], dict[str, Any]]]:
    found = []
    for one in POLICY["Statement"]:
        assert one["Effect"] == "Allow"
        actions = one["Action"] if isinstance(one["Action"], list) else [one["Action"]]
        found.append((set(actions), one))
    return found


def test_the_policy_allows_what_the_driver_calls_and_no_more(
    aws: LocalAws, aws_clients: Clients, tmp_path: Path
) -> None:
    called: set[str] = set()
    for mode in Mode:
        aws.reset()
        bedrocks = Bedrocks(aws, aws_clients, settings(tmp_path), mode)
        first = bedrocks.deployment(1, tags="team:search") if mode is Mode.PROFILE else bedrocks.deployment(1)
        bedrocks.ready(first)
        bedrocks.driver.update(bedrocks.deployment(1, tags="stage:test"))
        list(bedrocks.driver.owned(first.lineage))
        list(bedrocks.driver.preflight())
        bedrocks.until(bedrocks.driver.delete, first, Phase.ABSENT)
        called |= {name.replace(".", ":", 1) for name in aws.calls() if name.startswith("bedrock.")}
    allowed = {action for actions, _ in statements() for action in actions}
    assert allowed == called | ASKING | OTHERS
    assert not [action for action in allowed if "*" in action]


def test_only_what_carries_our_tag_is_made_changed_or_deleted() -> None:
    for actions, one in statements():
        condition = one.get("Condition", {}).get("StringEquals", {})
        verbs = {action.partition(":")[2] for action in actions}
        if any(verb.startswith("Create") for verb in verbs - {"CreateInference"}):
            assert condition == {"aws:RequestTag/cmr:owner": "compose-model-reconciler"}
        if any(verb.startswith(("Delete", "Untag")) for verb in verbs):
            assert condition == {"aws:ResourceTag/cmr:owner": "compose-model-reconciler"}
        if "PassRole" in verbs:
            assert condition == {"iam:PassedToService": "bedrock.amazonaws.com"}
