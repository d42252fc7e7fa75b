"""Inference components: a model in so many copies on an endpoint's instances, down to none."""

from __future__ import annotations

from typing import Any

from infra.localaws.localaws import LocalAws
from tests.localaws.copies import IC, NEEDS, copies, create, described, instances, set_copies
from tests.localaws.hosting import VARIANT, make_endpoint, make_model, refusal
from tests.localaws.openai import ask


def test_component_comes_into_service_and_answers(hosted: LocalAws, sagemaker: Any) -> None:
    create(sagemaker, Tags=[{"Key": "cmr:owner", "Value": "x"}])
    assert copies(sagemaker) == ("Creating", 1, 0)
    assert ask(hosted, IC)[0] == 400
    hosted.advance(300)
    assert copies(sagemaker) == ("InService", 1, 1)
    assert ask(hosted, IC)[0] == 200
    arn = described(sagemaker)["InferenceComponentArn"]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "cmr:owner", "Value": "x"}]
    (summary,) = sagemaker.list_inference_components(EndpointNameEquals="e1")["InferenceComponents"]
    assert (summary["InferenceComponentName"], summary["VariantName"]) == ("ic1", VARIANT)


def test_url_without_a_component_is_refused_on_such_an_endpoint(hosted: LocalAws, sagemaker: Any) -> None:
    create(sagemaker)
    hosted.advance(300)
    status, answer = ask(hosted)
    assert status == 400
    assert answer["message"].startswith("Inference Component Name header is required")


def test_what_cannot_be_is_refused(hosted: LocalAws, sagemaker: Any) -> None:
    create(sagemaker)
    refused = lambda **given: refusal(sagemaker.create_inference_component, **given)  # noqa: E731
    said = {
        "InferenceComponentName": "ic2",
        "EndpointName": "e1",
        "VariantName": VARIANT,
        "Specification": {"ModelName": "m1", "ComputeResourceRequirements": NEEDS},
        "RuntimeConfig": {"CopyCount": 1},
    }
    arn = "arn:aws:sagemaker:us-east-1:123456789012"
    assert refused(**said | {"InferenceComponentName": "ic1"}) == (
        f'Cannot create already existing inference component "{arn}:inference-component/ic1".'
    )
    assert refused(**said | {"EndpointName": "none"}) == f'Could not find endpoint "{arn}:endpoint/none".'
    missing = {"ModelName": "none", "ComputeResourceRequirements": NEEDS}
    assert refused(**said | {"Specification": missing}) == f'Could not find model "{arn}:model/none".'


def test_endpoint_must_be_in_service_and_made_for_components(cloud: LocalAws, sagemaker: Any) -> None:
    make_endpoint(sagemaker)
    given = {
        "InferenceComponentName": "ic1",
        "EndpointName": "e1",
        "VariantName": VARIANT,
        "Specification": {"ModelName": "m1", "ComputeResourceRequirements": NEEDS},
        "RuntimeConfig": {"CopyCount": 1},
    }
    assert "must be InService" in refusal(sagemaker.create_inference_component, **given)
    cloud.advance(300)
    assert "takes no inference components" in refusal(sagemaker.create_inference_component, **given)


def test_instances_follow_the_copies_down_to_none(hosted: LocalAws, sagemaker: Any) -> None:
    create(sagemaker)
    hosted.advance(300)
    for count in (3, 0, 1):
        set_copies(hosted, sagemaker, count)
        assert copies(sagemaker) == ("InService", count, count)
        assert instances(sagemaker) == count
        assert (hosted.usd_per_hour() > 0) is (count > 0)
        assert len(hosted.containers()) == (1 if count else 0)


def test_copies_that_cannot_be_placed_are_not_there(hosted: LocalAws, sagemaker: Any) -> None:
    create(sagemaker)
    hosted.advance(300)
    set_copies(hosted, sagemaker, 4)
    said = described(sagemaker)
    assert copies(sagemaker) == ("InService", 1, 1)
    assert said["FailureReason"].startswith("Unable to provision")
    assert ask(hosted, IC)[0] == 200


def test_new_component_without_capacity_has_failed(hosted: LocalAws, sagemaker: Any) -> None:
    hosted.capacity("ml.g6.xlarge", 1)
    create(sagemaker, copies=2)
    hosted.advance(300)
    assert copies(sagemaker)[0] == "Failed"


def test_update_serves_with_the_old_model_until_the_new_one_is_ready(hosted: LocalAws, sagemaker: Any) -> None:
    create(sagemaker)
    hosted.advance(300)
    make_model(sagemaker, "m2")
    specification = {"ModelName": "m2", "ComputeResourceRequirements": NEEDS}
    sagemaker.update_inference_component(InferenceComponentName="ic1", Specification=specification)
    assert described(sagemaker)["Specification"]["ModelName"] == "m1"
    assert ask(hosted, IC)[0] == 200
    refusal(sagemaker.delete_inference_component, InferenceComponentName="ic1")
    hosted.advance(300)
    assert described(sagemaker)["Specification"]["ModelName"] == "m2"
    assert copies(sagemaker) == ("InService", 1, 1)


def test_update_to_a_container_that_breaks_leaves_the_old_one(hosted: LocalAws, sagemaker: Any) -> None:
    create(sagemaker)
    hosted.advance(300)
    make_model(sagemaker, "m2", BAD="yes")
    hosted.break_containers("BAD")
    specification = {"ModelName": "m2", "ComputeResourceRequirements": NEEDS}
    sagemaker.update_inference_component(InferenceComponentName="ic1", Specification=specification)
    hosted.advance(300)
    said = described(sagemaker)
    assert (said["Specification"]["ModelName"], said["InferenceComponentStatus"]) == ("m1", "InService")
    assert "health check" in said["FailureReason"]
    assert len(hosted.containers()) == 1
    assert ask(hosted, IC)[0] == 200


def test_endpoint_goes_after_its_components(hosted: LocalAws, sagemaker: Any) -> None:
    create(sagemaker)
    hosted.advance(300)
    assert "inference components" in refusal(sagemaker.delete_endpoint, EndpointName="e1")
    sagemaker.delete_inference_component(InferenceComponentName="ic1")
    hosted.advance(60)
    assert hosted.containers() == ()
    assert refusal(sagemaker.describe_inference_component, InferenceComponentName="ic1").startswith("Could not find")
    sagemaker.delete_endpoint(EndpointName="e1")
    hosted.advance(60)
    assert [entry.kind for entry in hosted.books()] == ["endpoint config", "model"]
