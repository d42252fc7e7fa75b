"""From what people write under `x-cloud-options` to typed options, or to a message that helps."""

from __future__ import annotations

import pytest

from drivers import catalog
from drivers.values import Range
from reconciler.errors import InputError
from reconciler.options import Level, Options, Reading, conflicts, fitting, gpus_of, overlay, read_options
from tests.builders import place, raw_option

FAMILIES = catalog.sizes()["families"]


def read(*written: str, level: Level = Level.MODEL, **given: bool) -> Reading:
    """Options as `key=text`, one per line from line 14 on."""
    raw = [raw_option(*one.split("=", 1), place(14 + n, 7)) for n, one in enumerate(written)]
    return read_options(raw, level, path="models.chat", **given)


def options(*written: str) -> Options:
    reading = read(*written)
    assert not reading.problems
    return reading.options


def problem(*written: str, **given: bool) -> str:
    (only,) = read(*written, **given).problems
    assert isinstance(only, InputError)
    return str(only)


def test_an_option_keeps_its_text_its_value_and_its_place() -> None:
    option = options("cloud.replicas= 1..4 ")["cloud.replicas"]
    assert (option.text, option.value) == ("1..4", Range(1, 4))
    assert (str(option.location), option.level) == ("compose.yaml:14:7", Level.MODEL)


def test_a_misspelt_key_is_an_error_at_its_place_with_a_hint() -> None:
    assert problem("cloud.regoin=us-west-2") == (
        "compose.yaml:14:7: models.chat: unknown option 'cloud.regoin' (did you mean 'cloud.region'?)"
    )


@pytest.mark.parametrize("key", ["azure.location", "region", "cloud.", "cloud", "", "x-cloud.region", "CLOUD.REGION"])
def test_an_unknown_namespace_is_an_error(key: str) -> None:
    assert f"unknown option '{key}'" in problem(f"{key}=x")


def test_a_key_that_resembles_nothing_gets_no_hint() -> None:
    assert "did you mean" not in problem("cloud.zzzzzzzzzzzz=1")


def test_unknown_keys_can_be_allowed_and_stay_as_text() -> None:
    reading = read("cloud.brand-new=1", allow_unknown=True)
    assert not reading.problems
    assert reading.options["cloud.brand-new"].value == "1"


def test_a_value_that_cannot_be_read_says_what_is_accepted() -> None:
    assert problem("cloud.startup-timeout=5 minutes") == (
        "compose.yaml:14:7: models.chat: option 'cloud.startup-timeout': "
        "'5 minutes' is not a duration: write 90s, 15m, 2h, 1d or off"
    )
    assert "not one of never, prefer, require" in problem("cloud.spot=true")
    assert "more than 5 instance types" in problem("cloud.instance-type=a,b,c,d,e,f")


def test_a_key_given_twice_in_one_place_is_an_error_that_names_both_places() -> None:
    text = problem("cloud.spot=never", "cloud.spot=prefer")
    assert text.startswith("compose.yaml:15:7: models.chat: option 'cloud.spot' is given twice")
    assert text.endswith("first at compose.yaml:14:7")


def test_all_mistakes_are_reported_at_once_and_the_rest_is_read() -> None:
    reading = read("cloud.regoin=x", "cloud.spot=prefer", "cloud.replicas=0..no")
    assert [one.location.line for one in reading.problems] == [14, 16]
    assert list(reading.options) == ["cloud.spot"]


def test_the_nearest_level_wins() -> None:
    model = options("cloud.spot=never")
    project = read("cloud.spot=prefer", "cloud.region=us-west-2", level=Level.PROJECT).options
    tool = read("cloud.protect=true", "cloud.platform=llamacpp", level=Level.TOOL).options
    merged = overlay(model, project, tool)
    assert {key: (option.text, option.level) for key, option in merged.items()} == {
        "cloud.spot": ("never", Level.MODEL),
        "cloud.region": ("us-west-2", Level.PROJECT),
        "cloud.protect": ("true", Level.TOOL),
        "cloud.platform": ("llamacpp", Level.TOOL),
    }


def test_the_settings_may_only_hold_what_the_reconciler_itself_honours() -> None:
    """Anything else would be a driver's, which reads the spec, which holds the Compose file's words alone."""
    assert "belongs into the Compose file" in problem("cloud.spot=prefer", level=Level.TOOL)


def test_another_platforms_tuning_is_text_and_the_local_ones_has_a_schema() -> None:
    assert options("aws.inference-ami-version=al2023-gpu-4-1")["aws.inference-ami-version"].value == "al2023-gpu-4-1"
    assert options("llamacpp.threads=4")["llamacpp.threads"].value == 4
    assert "did you mean 'llamacpp.threads'" in problem("llamacpp.thread=4")
    assert "whole number" in problem("llamacpp.threads=four")


@pytest.mark.parametrize(
    "key",
    [
        "aws.endpoint-url",
        "aws.secret-access-key",
        "aws.profile",
        "aws.execution-role",
        "aws.user-data",
        "gcp.api-endpoint",
        "gcp.service-account",
        "gcp.startup-script",
        "dmr.url",
    ],
)
def test_no_passthrough_key_bears_identity_or_leads_elsewhere(key: str) -> None:
    assert "belongs into the operator's settings" in problem(f"{key}=x")
    assert "belongs into the operator's settings" in problem(f"{key}=x", allow_unknown=True)


def test_an_argument_cannot_be_smuggled_in_a_value() -> None:
    assert "is not a region" in problem("cloud.region=us-east-1 --endpoint-url http://evil")
    assert "control" in problem("aws.anything=a\nb")


def test_public_needs_a_way_to_prove_oneself() -> None:
    for written in (["cloud.visibility=public"], ["cloud.visibility=public", "cloud.auth=none"]):
        ((key, text),) = conflicts(options(*written), (), FAMILIES)
        assert key == "cloud.visibility"
        assert "cloud.auth=api-key" in text
    assert not list(conflicts(options("cloud.visibility=public", "cloud.auth=api-key"), (), FAMILIES))
    assert not list(conflicts(options("cloud.visibility=private"), (), FAMILIES))


@pytest.mark.parametrize("ending", ["cloud.ttl=1h", "cloud.schedule=up@0 8 * * *; down@0 20 * * *"])
@pytest.mark.parametrize("keeping", ["cloud.protect=true", "cloud.protect=yes", "cloud.deletion-policy=retain"])
def test_what_is_kept_for_good_cannot_go_by_itself(ending: str, keeping: str) -> None:
    """`cloud.protect=yes`, and `retain`, once let a time pass that never came to an end."""
    ((key, text),) = conflicts(options(ending, keeping), (), FAMILIES)
    assert (key, f"contradicts '{keeping.partition('=')[0]}'" in text) == (ending.partition("=")[0], True)


def test_what_has_no_end_can_be_kept() -> None:
    assert not list(conflicts(options("cloud.ttl=off", "cloud.schedule=off", "cloud.protect=true"), (), FAMILIES))
    assert not list(
        conflicts(options("cloud.ttl=1h", "cloud.protect=no", "cloud.deletion-policy=delete"), (), FAMILIES)
    )


def test_a_time_that_is_up_at_once_is_a_mistake() -> None:
    """It would have a machine made only to be deleted."""
    for none in ("0s", "0d"):
        ((key, text),) = conflicts(options(f"cloud.ttl={none}"), (), FAMILIES)
        assert (key, "off for no end" in text) == ("cloud.ttl", True)
    assert not list(conflicts(options("cloud.ttl=1s"), (), FAMILIES))


@pytest.mark.parametrize(
    ("native", "name", "count", "gib"),
    [
        ("ml.g6.xlarge", "L4", 1, 22.4),
        ("g6.48xlarge", "L4", 8, 179.2),
        ("p5.48xlarge", "H100", 8, 640),
        ("p5.4xlarge", "H100", 1, 80),
        ("a2-highgpu-4g", "A100", 4, 160),
        ("g2-standard-48", "L4", 4, 89.6),
    ],
)
def test_what_gpus_an_instance_type_has(native: str, name: str, count: int, gib: float) -> None:
    gpus = gpus_of(native, FAMILIES)
    assert gpus is not None
    assert (gpus.name, gpus.count) == (name, count)
    assert gpus.gib == pytest.approx(gib)


def test_an_accelerator_must_agree_with_the_instance_type() -> None:
    small = ("ml.g6.xlarge", "ml.g5.xlarge")
    ((key, text),) = conflicts(options("cloud.accelerator=A100"), small, FAMILIES)
    assert key == "cloud.accelerator"
    assert "ml.g6.xlarge has 1 × L4" in text
    assert list(conflicts(options("cloud.accelerator=L4:4"), small, FAMILIES))
    assert list(conflicts(options("cloud.accelerator=L40S"), small, FAMILIES))
    assert list(conflicts(options("cloud.accelerator-memory=40..80"), small, FAMILIES))
    for fine in ("cloud.accelerator=nvidia-l4", "cloud.accelerator=H100,L4", "cloud.accelerator-memory=24"):
        assert not list(conflicts(options(fine), small, FAMILIES)), fine
    assert not list(conflicts(options("cloud.accelerator=L4"), ("of-no-known-family.xlarge",), FAMILIES))


def test_an_accelerator_chooses_among_the_stand_ins() -> None:
    small = ("ml.g6.xlarge", "ml.g5.xlarge")
    assert fitting(options("cloud.accelerator=A10G"), small, FAMILIES) == ("ml.g5.xlarge",)
    assert fitting(options("cloud.accelerator-memory=80"), ("p5.4xlarge",), FAMILIES) == ("p5.4xlarge",)
    assert fitting(options(), small, FAMILIES) == small
