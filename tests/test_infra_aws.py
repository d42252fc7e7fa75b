"""Promise: what `infra/aws` gives a driver is what the driver does, and the stack can be made."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from drivers.aws.ec2.expiry import EXPIRES
from drivers.aws.tags import SPEC
from drivers.base import Phase
from infra.aws import build
from reconciler.settings import read_settings
from tests.drivers.aws_clouds import backdoor, fresh
from tests.drivers.ec2s import Ec2s, Fleets
from tests.drivers.test_aws_ec2_leftovers import key as leave_key
from tests.drivers.test_aws_ec2_ttl import of_now, with_ttl

ACTIONS = {"elbv2": "elasticloadbalancing", "service-quotas": "servicequotas"}
"""Services whose permissions have another name than the SDK's."""
NO_CALLS = {
    "iam:PassRole", "iam:CreateServiceLinkedRole", "elasticloadbalancing:AddTags", "ssm:AddTagsToResource",
    "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncrypt*",
}  # fmt: skip
"""Permissions that other calls need."""
READING = re.compile(r"[\w-]+:(?:Describe|Get|List|Search|Invoke|CallWith|CreateInference$)")
"""What changes nothing in the account; asking a model is among it."""
OWNER = "compose-model-reconciler"
BINDS = (OWNER, "CreateAction", "service-namespace", "cloudwatch:namespace")
"""What is in the condition of a statement that makes or removes something, where it is not bound by names."""
EVERY = {name: text for kind in build.ROLES for name, text in build.policies(kind).items()}


def statements(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(EVERY[name])["Statement"]
    return found


def actions(statement: Mapping[str, Any]) -> list[str]:
    said = statement["Action"]
    return [said] if isinstance(said, str) else said


@pytest.fixture
def calls(tmp_path: Path) -> Iterator[set[str]]:
    """Every call of the driver of EC2, by the name of its permission."""
    seen: set[str] = set()
    for kind in (Ec2s, Fleets):
        platform = kind(tmp_path / kind.__name__)
        list(platform.driver.preflight())
        if kind is Ec2s:
            platform.cloud.capacity("us-east-1a/g6.xlarge", 0)
        deployment, _ = platform.ready(deployment=platform.deployment(options={"cloud.cpu": "1..999"}))
        for machine in platform.machines(deployment):
            platform.cloud.perform("silence", id=machine["InstanceId"], silent=True)
        platform.driver.observe(deployment)
        list(platform.driver.logs(deployment))
        leave_key(platform.deployment(4))
        list(platform.driver.owned(deployment.lineage))
        timed, _ = platform.ready(deployment=of_now(platform, "2h", 3))
        platform.driver.update(with_ttl(timed, "5h"))
        platform.driver.update(with_ttl(timed, None))
        platform.until(platform.driver.delete, timed, Phase.ABSENT)
        for key in ("g6.xlarge", "g5.xlarge"):
            platform.cloud.capacity(key, 0)
        if kind is Fleets:
            waiting = platform.deployment(2)
            platform.driver.create(waiting)
            platform.driver.observe(waiting)
            platform.until(platform.driver.delete, waiting, Phase.ABSENT)
        for file in (platform.settings.key_root / "ec2").iterdir():
            file.unlink()
        platform.driver.in_flight(deployment)
        platform.until(platform.driver.delete, deployment, Phase.ABSENT)
        seen |= set(platform.cloud.calls())
        platform.cloud.reset()
    return {_permission(name) for name in seen}


def _permission(call: str) -> str:
    service, _, operation = call.partition(".")
    return f"{ACTIONS.get(service, service)}:{operation}"


def test_the_policy_of_ec2_allows_what_its_driver_does_and_nothing_else(calls: set[str]) -> None:
    allowed = {action for statement in statements("ec2") for action in actions(statement)}
    assert sorted(calls - allowed) == []
    assert sorted(allowed - calls - NO_CALLS) == []


@pytest.mark.parametrize("name", EVERY)
def test_whatever_makes_or_removes_something_is_bound_to_our_tag_or_our_names(name: str) -> None:
    for statement in statements(name):
        assert statement["Effect"] == "Allow"
        reads = all(READING.match(action) for action in actions(statement))
        bound = any(word in json.dumps(statement.get("Condition", {})) for word in BINDS)
        assert reads or bound or statement["Resource"] != "*", statement["Sid"]


@pytest.mark.parametrize("name", ["ec2", "ec2-machine"])
def test_keys_of_kms_serve_volumes_and_our_parameters_and_nothing_else(name: str) -> None:
    """`ebs-encryption-requirements.html` and `services-parameter-store.html` say what `cloud.kms-key` needs."""
    found: dict[str, set[str]] = {}
    for statement in statements(name):
        for action in actions(statement):
            if action.startswith("kms:"):
                condition = statement["Condition"]
                service = condition["StringLike"]["kms:ViaService"].partition(".")[0]
                found.setdefault(service, set()).add(action)
                of_parameter = condition["StringLike"].get("kms:EncryptionContext:PARAMETER_ARN", "")
                assert (service == "ssm") == of_parameter.endswith(":parameter/compose-model-reconciler/*")
                assert action != "kms:CreateGrant" or condition["Bool"] == {"kms:GrantIsForAWSResource": "true"}
    volumes = {"kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext",
               "kms:ReEncrypt*"}  # fmt: skip
    if name == "ec2":
        assert found == {"ec2": volumes, "ssm": {"kms:Decrypt", "kms:Encrypt"}}
    else:
        assert found == {"ssm": {"kms:Decrypt"}}, "AWS itself decrypts the volume, with the grant"


def test_tags_are_taken_away_by_name_only() -> None:
    """Without any key DeleteTags takes all of them, our owner's too, and `ForAllValues` is true of none."""
    (taking,) = (one for one in statements("ec2") if "ec2:DeleteTags" in actions(one))
    assert taking["Condition"]["Null"] == {"aws:TagKeys": "false"}
    assert taking["Condition"]["ForAllValues:StringLike"]["aws:TagKeys"] == [EXPIRES, f"{SPEC}*"]


@pytest.mark.parametrize("name", EVERY)
def test_only_roles_of_ours_are_handed_on(name: str) -> None:
    for statement in statements(name):
        if "iam:PassRole" in actions(statement):
            assert ":role/compose-models-" in statement["Resource"], statement["Sid"]


@pytest.mark.parametrize("name", EVERY)
def test_a_policy_fits_into_one_managed_policy(name: str) -> None:
    assert len(re.sub(r"\s", "", EVERY[name])) <= 6144


def test_the_template_is_made_from_its_parts() -> None:
    assert build.TEMPLATE.read_text(encoding="utf-8") == build.built(), "run `python -m infra.aws.build`"


def test_the_settings_that_the_host_gets_are_settings() -> None:
    said = re.search(r"compose-model-reconciler\.yaml <<'END'\n(.*?)\n *END\n", build.built(), re.DOTALL)
    assert said is not None
    filled = re.sub(r"\$\{[^}]*\}", "named", textwrap.dedent(said[1]).replace("${AWS::AccountId}", "123456789012"))
    settings = read_settings(Path("/etc/reconciler.yaml"), filled.encode(), {"HOME": "/root"})
    assert [str(project.checkout) for project in settings.projects] == ["/var/lib/compose-model-reconciler/checkout"]
    assert settings.aws is not None
    assert settings.aws.account == "123456789012"
    assert settings.aws.instance_profile == settings.aws.roles["default"] == "named"


@pytest.mark.slow
def test_the_template_is_what_cloudformation_takes() -> None:
    lint = Path(sys.executable).parent / "cfn-lint"
    done = subprocess.run([lint, "--region", "us-east-1", "--", build.TEMPLATE], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("package", ["", "compose-model-reconciler[aws]"])
def test_the_stack_can_be_made_with_a_host_and_without(package: str) -> None:
    cloud = fresh()
    subnet = backdoor("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    given = {"Package": package, "Repository": "https://git.example/models.git", "Subnet": subnet if package else ""}
    formation = backdoor("cloudformation")
    formation.create_stack(
        StackName="installation",
        TemplateBody=build.TEMPLATE.read_text(encoding="utf-8"),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    (stack,) = formation.describe_stacks(StackName="installation")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
    assert outputs["MachineProfile"] == "compose-models-machine"
    assert outputs["EndpointRole"].endswith(":role/compose-models-endpoint")
    attached = backdoor("iam").list_attached_role_policies(RoleName=OWNER)["AttachedPolicies"]
    own = {one["PolicyName"] for one in attached} - {"AmazonSSMManagedInstanceCore"}
    assert own == {f"{OWNER}-{name}" for name in build.policies()}
    hosts = [each for one in backdoor("ec2").describe_instances()["Reservations"] for each in one["Instances"]]
    assert len(hosts) == bool(package)
    kinds = Counter(f"{entry.service} {entry.kind}" for entry in cloud.books())
    machine = {"ec2 instance": 1, "ec2 launch template": 1} if package else {}
    assert kinds == {"iam role": 3, "iam instance profile": 2, "iam policy": len(EVERY)} | machine
    cloud.reset()
