"""What is accepted as a value of an option, and that a refusal says what would be."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import catalog, values
from drivers.schedules import Schedule
from drivers.shapes import SHAPES
from drivers.values import Accelerator, Range, Retry, read


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86_400), ("off", None)])
def test_durations_are_seconds_and_off_is_none(text: str, seconds: int | None) -> None:
    assert values.duration(text) == seconds


@pytest.mark.parametrize("text", ["90", "1.5h", "-1s", "1 h", "1h30m", "5w", "Off", "٣s", "1s\n"])
def test_a_refused_duration_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write 90s, 15m, 2h, 1d or off"):
        values.duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("24GB", 24 * 10**9), ("24G", 24 * 10**9), ("512MiB", 512 * 2**20), ("1.5TB", 1_500_000_000_000), ("7B", 7)],
)
def test_sizes_tell_powers_of_1000_from_powers_of_1024(text: str, size: int) -> None:
    assert values.size(text) == size


@pytest.mark.parametrize("text", ["24", "GB", "24gigs", "1e9GB", "-1GB"])
def test_a_size_needs_a_unit(text: str) -> None:
    with pytest.raises(ValueError, match="write 24GB"):
        values.size(text)


def test_a_range_includes_both_ends_and_a_number_is_a_range() -> None:
    assert read("range", "1..4") == Range(1, 4)
    assert read("range", "2") == Range(2, 2)
    assert 4 in Range(1, 4)
    assert 5 not in Range(1, 4)
    assert read("sizes", "16GB..64GB") == Range(16 * 10**9, 64 * 10**9)


@pytest.mark.parametrize("text", ["4..1", "1..", "..4", "1...4", "-1..2", "1.5", "many", "1e3"])
def test_a_refused_range_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"write 2 or 1\.\.4"):
        read("range", text)


@pytest.mark.parametrize("text", ["0", "-3", "nan", "inf", "1e999", "5 USD"])
def test_money_is_a_finite_amount_above_nothing(text: str) -> None:
    with pytest.raises(ValueError):
        values.money(text)
    assert values.money("2.50") == 2.5


def test_a_list_keeps_its_order_and_has_no_gaps_or_repetitions() -> None:
    assert values.comma_list("b, a,c") == ("b", "a", "c")
    assert values.comma_list("") == ()
    for wrong in ("a,,b", "a,", "a,b,a"):
        with pytest.raises(ValueError):
            values.comma_list(wrong)


def test_the_other_values() -> None:
    assert values.boolean("true") is True
    assert values.boolean("No") is False
    assert values.retry("5@30s") == Retry(5, 30)
    assert values.retry("5") == Retry(5)
    assert values.accelerators("L4,nvidia-a10g:4") == (Accelerator("L4"), Accelerator("nvidia-a10g", 4))
    assert values.pairs("team:search, stage:test") == {"team": "search", "stage": "test"}
    assert read("layers", "all") == "all"
    assert read("layers", "32") == 32
    assert read("numbers", "3,1") == (3.0, 1.0)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("bool", "maybe"),
        ("retry", "0@1s"),
        ("retry", "3@off"),
        ("retry", "3@"),
        ("accelerators", "L4:0"),
        ("pairs", "team"),
        ("pairs", "a:1,a:2"),
        ("count", "0"),
        ("int", "-1"),
        ("throughput", "provisioned:0"),
        ("region", "us-east-1 --endpoint-url http://evil"),
        ("image", "user:pass@evil.example/x"),
        ("image", "[::1]:5000/x"),
        ("model-source", "https://evil.example/x"),
        ("model-source", "s3://bucket/../x"),
        ("model-source", "file:///srv/../etc/passwd"),
        ("model-id", "../../admin"),
        ("cache", "https://x"),
        ("path", "/../etc"),
        ("path", "//169.254.169.254/"),
        ("variable", "LD_PRELOAD"),
        ("variable", "PATH"),
        ("adopt", "http://user:pass@host/v1"),
        ("adopt", "file:///etc/passwd"),
    ],
)
def test_what_could_do_harm_or_mean_nothing_is_refused(kind: str, text: str) -> None:
    with pytest.raises(ValueError):
        read(kind, text)


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:iam::123456789012:role/admin",
        "subnet-0abc1234def567890",
        "sg-0abc1234",
        "vpc-0abc1234",
        "1234abcd-12ab-34cd-56ef-1234567890ab",
        "runner@project.iam.gserviceaccount.com",
        "AKIAIOSFODNN7EXAMPLE",
        "hf_abcdefghijklmnopqrstuvwxyz012345",
        "sk-abcdefghijklmnopqrstuvwxyz",
    ],
)
def test_identity_comes_from_the_operators_settings_by_name_only(text: str) -> None:
    with pytest.raises(ValueError, match="stay out of the repository"):
        read("operator-name", text)
    assert read("operator-name", "inference-role") == "inference-role"
    assert read("operator-names", "blue,green") == ("blue", "green")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("operator-name", "hf_canary0123456789"),
        ("image", "user:canary@registry.example/x"),
        ("model-source", "s3://user:canary@bucket/x"),
        ("adopt", "https://user:canary@host/v1"),
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated(kind: str, text: str) -> None:
    with pytest.raises(ValueError) as caught:
        read(kind, text)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "a\x00b", "a\nb", "a\u202eb", "x" * 5000])
def test_no_value_is_empty_endless_or_invisible(text: str) -> None:
    with pytest.raises(ValueError):
        read("text", text)


def test_off_is_no_schedule() -> None:
    assert read("schedule", "off") is None


def test_a_schedule_is_two_cron_expressions_and_a_zone() -> None:
    text = "up@0 8 * * 1-5; down@0  20 * * 1-5; Europe/Berlin"
    assert read("schedule", text) == Schedule("0 8 * * 1-5", "0 20 * * 1-5", "Europe/Berlin")
    assert read("schedule", "up@*/5 * 1,15 * *;down@0 0 * * 0") == Schedule("*/5 * 1,15 * *", "0 0 * * 0", "UTC")


@pytest.mark.parametrize(
    "text",
    [
        "0 8 * * *",
        "up@0 8 * * *",
        "down@0 8 * * *; up@0 8 * * *",
        "up@60 8 * * *; down@0 20 * * *",
        "up@0 8 * *; down@0 20 * * *",
        "up@0 8 0 * *; down@0 20 * * *",
        "up@5-1 8 * * *; down@0 20 * * *",
        "up@*/0 8 * * *; down@0 20 * * *",
        "up@0 8 * * *; down@0 20 * * *; ../etc/localtime",
    ],
)
def test_a_schedule_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read("schedule", text)


@given(kind=st.sampled_from(sorted({entry.type for entry in catalog.vocabulary().keys.values()})), text=st.text())
def test_no_text_does_more_than_be_read_or_be_refused(kind: str, text: str) -> None:
    with contextlib.suppress(ValueError):
        read(kind, text, ("a", "b"))


def test_the_platforms_of_a_fallback_are_those_of_the_catalogue() -> None:
    assert SHAPES["platform"].pattern.split("|") == list(catalog.platforms().platforms)
