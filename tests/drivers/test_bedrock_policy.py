"""infra/aws/iam/bedrock.json lets the driver do what it does, and nothing to what is not ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drivers.aws.bedrock.wish import Mode
from drivers.aws.clients import Clients
from drivers.aws.tags import PIECE, tags_of
from drivers.base import Phase
from drivers.errors import Denied
from infra.localaws.bedrock.world import PATHS
from infra.localaws.localaws import LocalAws
from tests import builders, parts
from tests.drivers.bedrocks import Bedrocks, settings

POLICY = json.loads((parts.CHECKOUT / "infra" / "aws" / "iam" / "bedrock.json").read_text(encoding="utf-8"))
ASKING = {
    "bedrock:CallWithBearerToken",
    "bedrock:InvokeModel",
    "bedrock:InvokeModelWithResponseStream",
    "bedrock-mantle:CallWithBearerToken",
    "bedrock-mantle:CreateInference",
    "bedrock-mantle:ListModels",
}
"""What clients of the URLs need, and the readiness check."""
OTHERS = {"iam:PassRole", "bedrock:TagResource", "ssm:GetParameter"}
"""Beside Bedrock's own calls: handing over the import's role, tagging in a create call, reading keys."""
ENCRYPTING = {"kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"}
"""What Bedrock does with a key in the name of whoever imports, and of whoever asks what was imported."""
OWNER = "compose-model-reconciler"


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
        with pytest.raises(Denied, match="no interface endpoint"):
            bedrocks.driver.create(bedrocks.deployment(3, public_ip="false"))
        called |= {name.replace(".", ":", 1) for name in aws.calls() if name.startswith(("bedrock.", "ec2."))}
    allowed = {action for actions, _ in statements() for action in actions}
    assert allowed == called | ASKING | OTHERS | ENCRYPTING
    assert not [action for action in allowed if "*" in action]


def test_only_what_carries_our_tag_is_made_changed_or_deleted() -> None:
    for actions, one in statements():
        condition = one.get("Condition", {}).get("StringEquals", {})
        verbs = {action.partition(":")[2] for action in actions}
        if any(verb.startswith("Create") for verb in verbs - {"CreateInference"}):
            assert condition == {"aws:RequestTag/cmr:owner": OWNER} or actions == ENCRYPTING
        if any(verb.startswith(("Delete", "Untag")) for verb in verbs):
            assert condition == {"aws:ResourceTag/cmr:owner": OWNER}
        if "PassRole" in verbs:
            assert condition == {"iam:PassedToService": "bedrock.amazonaws.com"}


def test_no_tag_makes_somebody_elses_thing_ours_in_silence_and_none_takes_ours_away() -> None:
    """Whoever may put our tag on anything may then delete it. AWS has no condition that tells tags of a create call
    from later ones, so the rest is: kinds of things that we make, whole tags of ours, and nothing that has an owner."""
    tagging = {one["Sid"]: one for actions, one in statements() if actions & {"bedrock:TagResource"}}
    making, changing = tagging.pop("TagWhatIsBeingMade"), tagging.pop("ChangeTagsOfWhatIsOurs")
    assert not tagging
    assert making["Condition"]["Null"] == {
        "aws:RequestTag/cmr:deployment": "false",
        "aws:RequestTag/cmr:lineage": "false",
        "aws:ResourceTag/cmr:owner": "true",
    }
    both = {"aws:RequestTag/cmr:owner": OWNER, "aws:ResourceTag/cmr:owner": OWNER}
    assert changing["Condition"]["StringEquals"] == both
    for one in (making, changing):
        kinds = {arn.rpartition(":")[2].removesuffix("/*") for arn in one["Resource"]}
        assert kinds == set(PATHS.values())
    (untagging,) = (one for actions, one in statements() if "bedrock:UntagResource" in actions)
    kept = untagging["Condition"]["ForAllValues:StringNotEquals"]["aws:TagKeys"]
    own = tags_of(builders.deployment())
    assert sorted(kept) == sorted(key for key in own if key.startswith("cmr:") and not key.startswith(PIECE))


def test_keys_are_used_by_bedrock_only_and_only_those_that_are_named_for_it() -> None:
    folder = parts.CHECKOUT / "infra" / "aws" / "iam"
    of_the_role = json.loads((folder / "bedrock-endpoint.json").read_text(encoding="utf-8"))["Statement"]
    (own,) = (one for actions, one in statements() if actions == ENCRYPTING)
    assert of_the_role == [own], "the role of an import needs the same"
    assert own["Condition"] == {
        "StringLike": {"kms:ViaService": "bedrock.*.amazonaws.com"},
        "ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/compose-models-*"},
    }
