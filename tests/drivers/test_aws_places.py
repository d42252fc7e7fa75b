"""Promise: what is ours on AWS is looked for where it was asked for, whatever became of the answer, of the settings and
of the record, and whichever region or profile only a file named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from drivers import registry
from drivers.aws import clients as drivers_clients
from drivers.aws.check import check
from drivers.aws.clients import Clients
from drivers.aws.place import known_places, named_places
from drivers.aws.settings import AwsSettings
from drivers.base import Deployment, Handling, ModelSpec, Phase
from drivers.errors import Ambiguous, Denied, DriverError
from drivers.naming import external_name
from infra.localaws.localaws import LocalAws
from tests import builders
from tests.drivers.ec2s import PROFILE

HOME, ABROAD = "us-west-2", "eu-west-1"
MODELS = {"aws-bedrock": "ai/gpt-oss", "aws-sagemaker": "ai/smollm2", "aws-ec2": "ai/smollm2"}
MAKES = {"aws-bedrock": "CreateInferenceProfile", "aws-sagemaker": "CreateEndpoint", "aws-ec2": "RunInstances"}
LISTS = {"aws-bedrock": "ListInferenceProfiles", "aws-sagemaker": "Search", "aws-ec2": "DescribeLaunchTemplates"}

Make = Callable[..., Any]
_SHARED: tuple[dict[Any, Any], dict[Any, Any]] = ({}, {})


@pytest.fixture
def make(aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Drivers of a process that has just started: `make("aws-ec2", region="eu-west-1")` with these settings."""
    monkeypatch.setattr(drivers_clients, "READS", 1)
    settings = _settings(tmp_path, region=HOME)
    iam = _clients(settings)(known_places(settings)[0], "iam")
    iam.calls.create_role(RoleName=PROFILE, AssumeRolePolicyDocument="{}")
    iam.calls.create_instance_profile(InstanceProfileName=PROFILE)
    iam.calls.add_role_to_instance_profile(InstanceProfileName=PROFILE, RoleName=PROFILE)
    aws.latencies(create_s=1.0, update_s=1.0, delete_s=1.0)

    def made(platform: str, **given: Any) -> Any:
        settings = _settings(tmp_path, **given)
        return registry.create(platform, settings=settings, clients=_clients(settings), clock=lambda: datetime.now(UTC))

    return made


def _clients(settings: AwsSettings) -> Clients:
    """Those of one process are enough for all, since each costs time; whose region is the profile's has its own."""
    made = Clients(settings)
    if settings.region is not None:
        made._sessions, made._made = _SHARED
    return made


def _settings(root: Path, **given: Any) -> AwsSettings:
    role = "arn:aws:iam::123456789012:role/models"
    return AwsSettings(**{"key_root": root, "roles": {"default": role}, "instance_profile": PROFILE} | given)


def spec_on(platform: str, **options: str) -> ModelSpec:
    tags = {"cloud.tags": "team:search"} if platform == "aws-bedrock" else {}
    named = {f"cloud.{name}": text for name, text in options.items()}
    return builders.model_spec(MODELS[platform], options=tags | named)


def deployment_on(platform: str, **options: str) -> Deployment:
    made = builders.deployment(spec=spec_on(platform, **options))
    return replace(made, name=external_name(made.lineage, made.model, made.id))


@pytest.mark.parametrize("platform", MODELS)
def test_what_was_asked_for_and_never_answered_is_there_also_when_the_settings_name_another_region(
    aws: LocalAws, make: Make, platform: str
) -> None:
    """The handle had the region only once the platform had answered: until then the setting of the day decided."""
    driver = make(platform, region=HOME)
    deployment = deployment_on(platform)
    known = replace(deployment, handle=driver.destination(deployment.spec))
    aws.fault("response-lost", operation=MAKES[platform])
    with pytest.raises(Ambiguous):
        driver.create(known)
    moved = make(platform, region=ABROAD)
    assert moved.observe(known).phase is not Phase.ABSENT
    assert moved.observe(deployment).phase is Phase.ABSENT, "without it, nobody would look where it is"


@pytest.mark.parametrize("platform", MODELS)
def test_a_destination_is_what_the_handle_then_says(aws: LocalAws, make: Make, platform: str) -> None:
    driver, deployment = make(platform, region=HOME), deployment_on(platform, region=ABROAD)
    where = driver.destination(deployment.spec)
    assert where == {"region": ABROAD, "credentials": "default", "account": "123456789012"}
    seen = driver.create(replace(deployment, handle=where))
    assert seen.handle is not None
    assert where.items() <= seen.handle.items()


@pytest.mark.parametrize("platform", MODELS)
def test_after_a_loss_it_is_found_in_a_region_that_only_the_file_names(
    aws: LocalAws, make: Make, platform: str
) -> None:
    deployment = deployment_on(platform, region=ABROAD)
    make(platform, region=HOME).create(deployment)
    lost = make(platform, region=HOME)
    assert list(lost.owned(deployment.lineage)) == []
    (found,) = lost.owned_at(deployment.lineage, (deployment.spec,))
    assert replace(found, handle={}) == deployment
    assert found.handle["region"] == ABROAD


@pytest.mark.parametrize("platform", MODELS)
def test_a_region_that_is_already_looked_at_costs_no_call_and_a_misspelt_one_neither(
    aws: LocalAws, make: Make, platform: str
) -> None:
    driver = make(platform, region=HOME)
    list(driver.owned(builders.LINEAGE))
    aws.forget_calls()
    list(driver.owned(builders.LINEAGE))
    usual = aws.calls()
    aws.forget_calls()
    named = [spec_on(platform), *(spec_on(platform, region=name) for name in (HOME, "eu-wset-1", "mars-1"))]
    list(driver.owned_at(builders.LINEAGE, [*named, spec_on(platform, credentials="nobody-s", region=ABROAD)]))
    assert aws.calls() == usual
    aws.forget_calls()
    list(driver.owned_at(builders.LINEAGE, [*named, spec_on(platform, region=ABROAD)] * 3))
    assert len(aws.calls()) == 2 * len(usual), "once for each region, however many models name it"
    print(f"{platform}: {len(usual)} calls for each region: {dict(aws.counts())}")


@pytest.mark.parametrize("platform", MODELS)
def test_the_profiles_own_region_is_looked_at_once_also_where_a_file_names_it(
    aws: LocalAws, make: Make, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", ABROAD)
    driver = make(platform)
    list(driver.owned(builders.LINEAGE))
    aws.forget_calls()
    list(driver.owned(builders.LINEAGE))
    usual = aws.calls()
    aws.forget_calls()
    list(driver.owned_at(builders.LINEAGE, [spec_on(platform, region=ABROAD)]))
    assert aws.calls() == usual


@pytest.mark.parametrize("platform", MODELS)
def test_a_region_that_may_not_be_looked_at_holds_nothing_up_and_one_that_is_silent_does(
    aws: LocalAws, make: Make, platform: str
) -> None:
    """What is forbidden there was never made from here; what is only silent may be there."""
    deployment = deployment_on(platform)
    driver = make(platform, region=HOME)
    driver.create(deployment)
    abroad = (spec_on(platform, region=ABROAD),)
    aws.fault("refused", operation=LISTS[platform], skip=1, code="AccessDeniedException", message="no", status=403)
    assert [found.id for found in driver.owned_at(deployment.lineage, abroad)] == [deployment.id]
    aws.fault("refused", operation=LISTS[platform], skip=1, code="InternalFailure", message="no", status=500)
    with pytest.raises(DriverError, match=f"^in {ABROAD}: "):
        driver.owned_at(deployment.lineage, abroad)
    aws.fault("refused", operation=LISTS[platform], code="AccessDeniedException", message="no", status=403)
    with pytest.raises(Denied, match=f"^in {HOME}: "):
        driver.owned_at(deployment.lineage, abroad)


@pytest.mark.parametrize("platform", MODELS)
def test_where_the_operator_names_regions_a_file_names_no_other(platform: str) -> None:
    def said(**given: Any) -> tuple[Handling, str]:
        settings = AwsSettings(key_root=Path("/nonexistent"), **given)
        found = check(spec_on(platform, region=ABROAD), platform, settings)
        return next((each.handling, each.detail) for each in found if each.key == "cloud.region")

    refused = said(region=HOME, regions=("us-east-1",))
    assert refused == (
        Handling.REJECTED,
        "the operator keeps models to us-west-2, us-east-1 (aws.regions, policy.allowed_regions)",
    )
    assert said(region=HOME, regions=(ABROAD,))[0] is not Handling.REJECTED
    assert said(region=HOME)[0] is not Handling.REJECTED
    assert said()[0] is not Handling.REJECTED


def test_a_profile_whose_region_is_none_of_the_operators_makes_nothing(
    aws: LocalAws, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-south-1")
    driver = make("aws-ec2", regions=(HOME, ABROAD))
    with pytest.raises(Denied, match=r"region is ap-south-1, and aws\.regions has no such"):
        driver.create(deployment_on("aws-ec2"))
    assert driver.create(deployment_on("aws-ec2", region=ABROAD)).phase is Phase.CREATING


def test_named_places_go_by_the_credentials_of_the_file_as_well(tmp_path: Path) -> None:
    settings = AwsSettings(key_root=tmp_path, region=HOME, credentials={"research": "profile-of-research"})
    specs = [spec_on("aws-ec2", region=ABROAD, credentials="research"), spec_on("aws-ec2", region=ABROAD)]
    found = named_places(specs, settings)
    assert [(place.region, place.profile) for place in found] == [(ABROAD, "profile-of-research"), (ABROAD, None)]
