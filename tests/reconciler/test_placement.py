"""Which platform a model runs on: every signal, every contradiction, and the steps that are shown."""

from __future__ import annotations

import pytest

from drivers import catalog
from reconciler.options import Level, read_options
from reconciler.placement import Placement, PlacementDefaults, Unplaceable, infer_platform
from tests.builders import raw_option


def infer(*written: str, default: str | None = None, platforms: tuple[str, ...] = (), **by_provider: str) -> Placement:
    raw = [raw_option(*one.split("=", 1)) for one in written]
    reading = read_options(raw, Level.MODEL, platforms=platforms)
    assert not reading.problems
    return infer_platform(reading.options, PlacementDefaults(default, by_provider), catalog.sizes()["sizes"])


def refused(*written: str, **given: str) -> tuple[str, str]:
    with pytest.raises(Unplaceable) as caught:
        infer(*written, **given)
    return caught.value.key, str(caught.value)


def test_the_documentations_own_example_goes_to_sagemaker() -> None:
    placement = infer("cloud.instance-type=gpu-small", "cloud.region=us-west-2")
    assert placement.platform == "aws-sagemaker"
    assert placement.instance_types[0] == "ml.g6.xlarge"
    assert placement.steps == (
        "region shape us-west-2 → aws",
        "project default → aws-sagemaker",
        "gpu-small → ml.g6.xlarge",
    )


def test_nothing_said_is_local() -> None:
    assert infer() == Placement("llamacpp", (), ("local default → llamacpp",))
    assert infer(default="docker-model-runner").platform == "docker-model-runner"
    assert infer("cloud.instance-type=gpu-small").platform == "llamacpp"
    assert infer("cloud.platform=auto").platform == "llamacpp"
    assert infer("cloud.serving=managed").platform == "llamacpp"


@pytest.mark.parametrize(
    ("written", "platform"),
    [
        (["cloud.platform=aws-ec2"], "aws-ec2"),
        (["cloud.provider=gcp"], "gcp-vertex"),
        (["cloud.provider=aws"], "aws-sagemaker"),
        (["cloud.provider=local"], "llamacpp"),
        (["cloud.region=europe-west4"], "gcp-vertex"),
        (["cloud.region=eu-west-1,us-east-1"], "aws-sagemaker"),
        (["cloud.instance-type=ml.g6.xlarge"], "aws-sagemaker"),
        (["cloud.instance-type=g6.xlarge"], "aws-ec2"),
        (["cloud.instance-type=p5.48xlarge"], "aws-ec2"),
        (["cloud.instance-type=p6-b200.48xlarge"], "aws-ec2"),
        (["cloud.instance-type=g2-standard-4"], "gcp-gce"),
        (["cloud.instance-type=a3-highgpu-1g"], "gcp-gce"),
        (["cloud.region=us-west-2", "cloud.instance-type=g6.xlarge,gpu-small"], "aws-ec2"),
        (["cloud.region=us-west-2", "cloud.serving=managed"], "aws-bedrock"),
        (["cloud.region=us-central1", "cloud.serving=managed"], "gcp-vertex"),
    ],
)
def test_each_signal_leads_to_its_platform(written: list[str], platform: str) -> None:
    placement = infer(*written)
    assert placement.platform == platform
    assert placement.steps


def test_the_operators_defaults_decide_what_the_file_leaves_open() -> None:
    assert infer("cloud.region=us-west-2", aws="aws-ec2").platform == "aws-ec2"
    assert infer("cloud.region=us-west-2", default="aws-bedrock").platform == "aws-bedrock"
    assert infer("cloud.region=us-west-2", default="llamacpp").platform == "aws-sagemaker"
    assert infer("cloud.region=us-west-2", aws="aws-ec2").steps[-1] == "project default → aws-ec2"


def test_ambiguity_is_an_error_that_lists_the_choices() -> None:
    key, text = refused("cloud.region=us-west-2,us-central1")
    assert key == "cloud.region"
    assert text.endswith("one of aws-bedrock, aws-sagemaker, aws-ec2, gcp-vertex, gcp-gce")
    key, text = refused("cloud.instance-type=ml.g6.xlarge,g2-standard-4")
    assert (key, text.rpartition("one of ")[2]) == ("cloud.instance-type", "aws-sagemaker, gcp-gce")
    assert refused("cloud.region=us-west-2", aws="gcp-gce")[1].endswith("one of aws-bedrock, aws-sagemaker, aws-ec2")


def test_contradictions_name_the_option_to_change() -> None:
    assert refused("cloud.provider=gcp", "cloud.region=us-west-2")[0] == "cloud.region"
    assert refused("cloud.region=us-central1", "cloud.instance-type=ml.g6.xlarge")[0] == "cloud.instance-type"
    assert refused("cloud.provider=local", "cloud.serving=managed")[0] == "cloud.serving"
    assert refused("cloud.platform=aws-ec2", "cloud.provider=gcp")[0] == "cloud.provider"
    assert refused("cloud.platform=gcp-vertex", "cloud.region=us-west-2")[0] == "cloud.region"
    assert "ml.g6.xlarge" in refused("cloud.platform=gcp-vertex", "cloud.instance-type=ml.g6.xlarge")[1]


def test_a_region_or_size_that_nobody_has_is_an_error() -> None:
    assert refused("cloud.region=westeurope")[0] == "cloud.region"
    assert "did you mean 'gpu-small'?" in refused("cloud.instance-type=gpu-smal")[1]


def test_sizes_resolve_in_order_and_into_the_platforms_own_words() -> None:
    placement = infer("cloud.region=us-west-2", "cloud.instance-type=gpu-medium,ml.g5.xlarge,gpu-small")
    assert placement.instance_types == ("ml.g6e.xlarge", "ml.g6.12xlarge", "ml.g5.xlarge", "ml.g6.xlarge")
    assert placement.steps[2:] == ("gpu-medium → ml.g6e.xlarge", "gpu-small → ml.g6.xlarge")


@pytest.mark.parametrize("platform", ["aws-sagemaker", "aws-ec2", "gcp-vertex", "gcp-gce"])
def test_one_changed_line_switches_platforms_and_the_size_follows(platform: str) -> None:
    placement = infer(
        f"cloud.platform={platform}", "cloud.instance-type=gpu-small", "cloud.region=us-west-2,us-central1"
    )
    assert placement.platform == platform
    assert placement.instance_types == tuple(catalog.sizes()["sizes"]["gpu-small"][platform])


def test_what_only_another_platform_has_stays_inactive_beside_one_that_fits() -> None:
    placement = infer("cloud.platform=gcp-gce", "cloud.instance-type=ml.g6.xlarge,g2-standard-4")
    assert placement.instance_types == ("g2-standard-4",)
    assert "ml.g6.xlarge is not a type of gcp-gce: inactive" in placement.steps


@pytest.mark.parametrize("platform", ["llamacpp", "docker-model-runner", "aws-bedrock", "external"])
def test_where_there_are_no_instance_types_none_are_chosen(platform: str) -> None:
    written = [f"cloud.platform={platform}", "cloud.instance-type=gpu-small", "cloud.region=us-west-2"]
    assert infer(*written).instance_types == ()


def test_a_driver_of_another_package_is_named_outright() -> None:
    placement = infer("cloud.platform=somewhere", "cloud.region=us-west-2", platforms=lambda: ("somewhere",))
    assert placement == Placement("somewhere", (), ("cloud.platform → somewhere",))
