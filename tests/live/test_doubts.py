"""What nobody here has seen AWS do, one test for each doubt: it passes where AWS does what the drivers rely on, and
what it found out beside that is printed at the end of the run. `README.md` says what stands and falls with each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from drivers import catalog, probe
from drivers.aws.bedrock.wish import API, MANTLE
from drivers.aws.sagemaker.api import Api
from drivers.aws.sagemaker.names import component_target
from drivers.base import Deployment, ModelSpec, Observation, Phase
from drivers.errors import DriverError
from tests import builders
from tests.live.ground import Ground, Watched
from tests.live.harness import EC2_TYPE, SAGEMAKER_TYPE

BEDROCK, SAGEMAKER, EC2 = "aws-bedrock", "aws-sagemaker", "aws-ec2"


def smollm2(ground: Ground, instance_type: str, **options: str) -> Deployment:
    more = {f"cloud.{name.replace('_', '-')}": text for name, text in options.items()}
    spec = builders.model_spec(context_size=512, options={"cloud.instance-type": instance_type, **more})
    return ground.deployment(spec)


def ready(ground: Ground, platform: str, deployment: Deployment) -> Observation:
    """Brought up, in one go; how long it took is kept."""
    driver, began_s = ground.driver(platform), time.monotonic()
    driver.create(deployment)
    seen = ground.until(driver.observe, deployment, Phase.READY)
    ground.finds(f"ready after {time.monotonic() - began_s:.0f} s")
    return seen


def says(ground: Ground, platform: str, deployment: Deployment, seen: Observation) -> bool:
    """Whether it answers as a client asks it that has a token from the driver."""
    assert seen.endpoint is not None
    token = ground.driver(platform).token(deployment)
    return probe.complete(seen.endpoint.url, seen.endpoint.model_id, key=token.text, prompt="Say hello.").ok


# -- Bedrock ----------------------------------------------------------------------------------------------------------


@pytest.mark.bill(minutes=15, questions=60)
def test_which_of_our_models_aws_answers_under_the_openai_api_of_bedrock(ground: Ground) -> None:
    """No list of AWS's says it. Whatever the answer, no service is ever pointed at one that is silent."""
    answered = {model: _answers(ground, model) for model in _models_of_bedrock()}
    assert answered["ai/gpt-oss:20B"], "the example's own"


def _answers(ground: Ground, model: str) -> bool:
    driver, deployment = ground.driver(BEDROCK), ground.deployment(ModelSpec(model=model))
    try:
        driver.create(deployment)
        seen = driver.observe(deployment)
    except DriverError as refusal:
        ground.finds(f"{model}: {refusal}")
        return False
    ground.finds(f"{model}: {seen.phase.value} {seen.detail}".strip())
    return seen.phase is Phase.READY


def _models_of_bedrock() -> Iterator[str]:
    for name, entry in catalog.models()["models"].items():
        for size in entry.get("managed", {}).get(BEDROCK, {}):
            yield f"{name}:{size}"


@pytest.mark.bill(minutes=10)
def test_bedrocks_openai_api_takes_the_arn_of_an_inference_profile(ground: Ground) -> None:
    deployment = ground.deployment(ModelSpec(model="ai/gpt-oss", options={"cloud.tags": "purpose:live-test"}))
    seen = ready(ground, BEDROCK, deployment)
    assert seen.endpoint is not None
    assert ":application-inference-profile/" in seen.endpoint.model_id


@pytest.mark.bill(minutes=10)
def test_bedrock_mantle_takes_our_token_and_lists_the_model(ground: Ground) -> None:
    options = {API: MANTLE, "cloud.model-id": "openai.gpt-oss-20b"}
    ready(ground, BEDROCK, ground.deployment(ModelSpec(model="ai/gpt-oss", options=options)))


# -- SageMaker --------------------------------------------------------------------------------------------------------


@pytest.mark.bill(SAGEMAKER_TYPE, minutes=40)
def test_sm_llama_cpp_docker_repo_makes_the_container_fetch_a_model_from_docker_hub(ground: Ground) -> None:
    """`SM_LLAMA_CPP_DOCKER_REPO=ai/smollm2`: the rule by which the container makes flags of variables says so."""
    deployment = smollm2(ground, SAGEMAKER_TYPE)
    seen = ready(ground, SAGEMAKER, deployment)
    assert says(ground, SAGEMAKER, deployment, seen)
    assert list(ground.driver(SAGEMAKER).logs(deployment, 20))


@pytest.mark.bill("aws-sagemaker/gpu-small", minutes=60)
def test_the_cuda_container_runs_on_the_inference_ami_that_the_driver_names(ground: Ground) -> None:
    """Tag of the image, name of the AMI, driver against CUDA: nothing of that could be looked up."""
    deployment = smollm2(ground, "gpu-small")
    assert says(ground, SAGEMAKER, deployment, ready(ground, SAGEMAKER, deployment))


@pytest.mark.bill("aws-sagemaker/gpu-small", minutes=60)
def test_the_vllm_container_takes_its_arguments_as_variables(ground: Ground) -> None:
    options = {"cloud.instance-type": "gpu-small", "cloud.engine": "vllm"}
    spec = ModelSpec(model="hf.co/Qwen/Qwen2.5-0.5B-Instruct", context_size=2048, options=options)
    deployment = ground.deployment(spec)
    assert says(ground, SAGEMAKER, deployment, ready(ground, SAGEMAKER, deployment))


@pytest.mark.bill(SAGEMAKER_TYPE, minutes=30)
def test_search_finds_an_endpoint_by_the_tag_of_its_lineage(ground: Ground) -> None:
    """`Tags.cmr:lineage`: a colon in a tag's key, in a filter of Search; and how far the index lags."""
    deployment, account = smollm2(ground, SAGEMAKER_TYPE), ground.account
    ground.driver(SAGEMAKER).create(deployment)
    began_s, api = time.monotonic(), Api(account.clients(account.places[0], "sagemaker"))
    ground.eventually("Search finds it", lambda: deployment.name in api.search(ground.lineage))
    ground.finds(f"Search found it after {time.monotonic() - began_s:.0f} s")


@pytest.mark.bill(SAGEMAKER_TYPE, minutes=30)
def test_the_tagging_service_tells_of_models_and_configurations(ground: Ground) -> None:
    """What `owned` goes by where an endpoint is gone and its model is not; and how far that index lags."""
    deployment, account = smollm2(ground, SAGEMAKER_TYPE), ground.account
    ground.driver(SAGEMAKER).create(deployment)
    client, began_s = account.clients(account.places[0], "resourcegroupstaggingapi").reads, time.monotonic()
    wanted = {"endpoint", "endpoint-config", "model"}

    def told() -> bool:
        said = client.get_resources(TagFilters=[{"Key": "cmr:lineage", "Values": [ground.lineage]}])
        arns = [each["ResourceARN"] for each in said["ResourceTagMappingList"]]
        return {arn.rpartition(":")[2].partition("/")[0] for arn in arns} == wanted

    ground.eventually("the tagging service tells of all three", told)
    ground.finds(f"it told after {time.monotonic() - began_s:.0f} s")


@pytest.mark.bill(SAGEMAKER_TYPE, minutes=120)
def test_an_idle_component_is_put_to_sleep_by_its_alarm_and_woken_by_a_request(ground: Ground) -> None:
    """That `ConcurrentRequestsPerCopy` is reported while nobody asks, that the alarm's policy may leave no copy, and
    that a request without a copy is reported and wakes one."""
    deployment = smollm2(ground, SAGEMAKER_TYPE, replicas="0..1", idle_timeout="5m")
    driver = ground.driver(SAGEMAKER)
    driver.create(deployment)
    ground.until(_completing(driver), deployment, Phase.READY)
    alarms = ground.account.clients(ground.account.places[0], "cloudwatch").reads
    said = alarms.describe_alarms(AlarmNamePrefix=f"{deployment.name}-")["MetricAlarms"]
    assert sorted(one["AlarmName"].rpartition("-")[2] for one in said) == ["sleep", "wake"]
    began_s = time.monotonic()
    _wait_for_copies(ground, deployment, 0)
    ground.finds(f"asleep after {time.monotonic() - began_s:.0f} s")
    seen, began_s = driver.observe(deployment), time.monotonic()
    while _copies(ground, deployment) == 0:
        says(ground, SAGEMAKER, deployment, seen)
        ground.wait()
    ground.until(driver.observe, deployment, Phase.READY)
    ground.finds(f"awake after {time.monotonic() - began_s:.0f} s")


def _completing(driver: Watched) -> Callable[[Deployment], Observation]:
    """Look, create again where the next part is missing, and update what is ready and not yet as the spec says, which
    goes for its scaling: as a reconciler does. READY is the answer when nothing is left to do."""

    def look(deployment: Deployment) -> Observation:
        seen = driver.observe(deployment)
        if seen.phase is Phase.ABSENT:
            return driver.create(deployment)
        if seen.phase is not Phase.READY or seen.spec_digest == deployment.spec.digest:
            return seen
        driver.update(deployment)
        return replace(seen, phase=Phase.CREATING)

    return look


def _wait_for_copies(ground: Ground, deployment: Deployment, wanted: int) -> None:
    while _copies(ground, deployment) != wanted:
        ground.wait()


def _copies(ground: Ground, deployment: Deployment) -> int:
    client = ground.account.clients(ground.account.places[0], "sagemaker").reads
    name = component_target(deployment).partition("/")[2]
    said = client.describe_inference_component(InferenceComponentName=name)
    return int(said["RuntimeConfig"]["CurrentCopyCount"])


# -- EC2 --------------------------------------------------------------------------------------------------------------


@pytest.mark.bill(minutes=5)
def test_the_public_parameter_names_a_machine_image(ground: Ground) -> None:
    """The default of `aws.machine_image`, in every region of the settings."""
    looks = [look for look in ground.driver(EC2).preflight() if look.name == "machine image"]
    assert looks
    assert [look.text for look in looks if not look.ok] == []
    ground.finds(", ".join(look.text for look in looks))


@pytest.mark.bill("aws-ec2/gpu-small", minutes=40)
def test_the_machine_image_has_what_the_user_data_need_on_a_gpu(ground: Ground) -> None:
    """Docker, NVIDIA's driver and container toolkit, the AWS command line; llama-server's CUDA container on them."""
    deployment = smollm2(ground, "gpu-small")
    seen = ready(ground, EC2, deployment)
    assert seen.endpoint is not None
    assert list(ground.driver(EC2).logs(deployment, 20)), "the console says something"


@pytest.mark.bill(EC2_TYPE, minutes=30)
def test_a_machine_that_was_asked_for_twice_at_once_is_one(ground: Ground) -> None:
    """The client token, while no listing shows the machine yet."""
    deployment = smollm2(ground, EC2_TYPE)
    for _ in range(3):
        ground.driver(EC2).create(deployment)
    driver = ground.driver(EC2)
    ground.until(driver.observe, deployment, Phase.READY)
    counted = ground.account.count(EC2, ground.lineage)
    assert sum(thing.kind == "instance" for thing in counted) == 1
