"""The policy of infra/aws/iam lets the driver do what it does, and nothing more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from drivers.errors import Rejected
from tests import builders, parts
from tests.drivers.aws_converge import Reconciler
from tests.drivers.sagemakers import STEP_S, SageMakers
from tests.drivers.test_sagemaker_crashes import ELASTIC, LARGE, SCALED, SMALL

FOLDER = parts.CHECKOUT / "infra" / "aws" / "iam"
ZONED = builders.model_spec(options={"cloud.zones": "us-west-2a"})
PREFIXES = {"resourcegroupstaggingapi": "tag", "service-quotas": "servicequotas"}
FREE = frozenset({"sts:GetCallerIdentity"})
"""What needs no permission."""
BEHIND_A_CALL = frozenset(
    {
        "iam:PassRole", "iam:CreateServiceLinkedRole", "cloudwatch:TagResource", "cloudwatch:DescribeAlarms",
        "sagemaker:CallWithBearerToken", "sagemaker:InvokeEndpoint", "sagemaker:UpdateInferenceComponentRuntimeConfig",
        "kms:CreateGrant",
    }
)  # fmt: skip
"""What AWS asks for behind a call of the driver: a role that is handed over, tags on an alarm, a token, a grant on the
key of `cloud.kms-key` (developer guide, "SageMaker API Permissions": CreateEndpoint), and what Application Auto Scaling
does in the caller's name."""


def statements(name: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = json.loads((FOLDER / name).read_text(encoding="utf-8"))["Statement"]
    return found


def test_every_call_is_allowed_and_nothing_else(tmp_path: Path) -> None:
    sagemakers = SageMakers(tmp_path, account="123456789012")
    tagged = sagemakers.deployment(1)
    for spec in (SCALED, SMALL, LARGE):
        tagged = sagemakers.settled(replace(tagged, spec=spec))
    elastic = sagemakers.settled(sagemakers.deployment(2, ELASTIC))
    sagemakers.settings = replace(sagemakers.settings, subnets={"default-a": "subnet-0123456789abcdef0"})
    with pytest.raises(Rejected, match="subnet"):
        sagemakers.after_a_crash().create(sagemakers.deployment(9, ZONED))
    many = [sagemakers.deployment(number) for number in range(3, 8)]
    sagemakers.driver.observe_many([tagged, elastic, *many])
    list(sagemakers.driver.owned(tagged.lineage))
    list(sagemakers.driver.logs(tagged, 5))
    list(sagemakers.driver.preflight())
    for deployment in (tagged, elastic):
        Reconciler(sagemakers, STEP_S).remove(deployment)
    called = {action(name) for name in sagemakers.cloud.counts() if not name.startswith("runtime.")}
    allowed = {name for statement in statements("sagemaker.json") for name in statement["Action"]}
    assert called - FREE <= allowed
    assert allowed - called <= BEHIND_A_CALL


def action(name: str) -> str:
    service, _, operation = name.partition(".")
    return f"{PREFIXES.get(service, service)}:{operation}"


@pytest.mark.parametrize("statement", statements("sagemaker.json"), ids=lambda statement: statement["Sid"])
def test_what_changes_something_is_bound_to_our_names_or_tags(statement: Mapping[str, Any]) -> None:
    looking = ("*:Describe*", "*:List*", "*:Get*", "*:Search", "*:CallWithBearerToken")
    changing = [name for name in statement["Action"] if not any(fnmatchcase(name, one) for one in looking)]
    if not changing:
        return
    bound = statement["Resource"] != "*" or "Condition" in statement
    assert bound
    if any(name.startswith("sagemaker:") for name in changing):
        assert all("/cmr-*" in resource for resource in statement["Resource"])
        assert "cmr:owner" in json.dumps(statement["Condition"])


def test_a_key_is_handed_to_sagemaker_and_to_nobody_else() -> None:
    (grant,) = (one for one in statements("sagemaker.json") if "kms:CreateGrant" in one["Action"])
    assert grant["Action"] == ["kms:CreateGrant"]
    assert grant["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}
    assert all(each.startswith("sagemaker.") for each in grant["Condition"]["StringLike"]["kms:ViaService"])


def test_an_endpoint_may_look_at_the_alarms_that_guard_its_updates(tmp_path: Path) -> None:
    """Developer guide, "Auto-Rollback Configuration and Monitoring": the role needs DescribeAlarms on them."""
    sagemakers = SageMakers(tmp_path)
    ready = sagemakers.settled(sagemakers.deployment(1, SMALL))
    sagemakers.driver.update(replace(ready, spec=LARGE))
    (alarm,) = sagemakers.client("cloudwatch").describe_alarms()["MetricAlarms"]
    (look,) = (one for one in statements("sagemaker-endpoint.json") if "cloudwatch:DescribeAlarms" in one["Action"])
    assert fnmatchcase(alarm["AlarmArn"], look["Resource"])


def test_no_statement_allows_whole_services() -> None:
    for name in ("sagemaker.json", "sagemaker-endpoint.json"):
        assert not [each for one in statements(name) for each in one["Action"] if "*" in each]
