"""Promise: consent, estimate and journal are what they say, and the guard opens to what it was told and no further."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.localaws import prices as local
from tests import builders
from tests.egress import Egress
from tests.live import prices
from tests.live.consent import Consent, NotAsked, consent
from tests.live.estimate import Bill, Overdrawn, bill_of, total, within
from tests.live.journal import Busy, Journal, Open, Stranger, findings, opened

LINEAGE = "11feca5e-7f0e-4a57-9c0b-5a2b6b1f9d10"


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, str]:
    """Somebody asked for a run in an account."""
    settings = tmp_path / "reconciler.yaml"
    settings.write_text("aws: {}\n", encoding="utf-8")
    return {"CMR_LIVE": "aws", "CMR_LIVE_BUDGET_USD": "5", "CMR_LIVE_SETTINGS": str(settings)}


def test_who_asks_for_everything_is_heard(asked: dict[str, str]) -> None:
    given = consent(asked | {"CMR_LIVE_NETWORK": "10.1.0.0/16", "CMR_LIVE_AT_MOST_MIN": "7"})
    assert isinstance(given, Consent)
    assert (given.budget_usd, given.rehearsal, given.at_most_min) == (5.0, False, 7.0)
    assert given.network == ip_network("10.1.0.0/16")


@pytest.mark.parametrize("missing", ["CMR_LIVE", "CMR_LIVE_BUDGET_USD", "CMR_LIVE_SETTINGS"])
def test_one_thing_that_is_missing_is_named_and_nothing_happens(asked: dict[str, str], missing: str) -> None:
    with pytest.raises(NotAsked, match=rf"^nothing is made in any AWS account: {missing} must"):
        consent({name: value for name, value in asked.items() if name != missing})


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(NotAsked, match=r"CMR_LIVE must .*; CMR_LIVE_BUDGET_USD must .*; CMR_LIVE_SETTINGS must"):
        consent({})


@pytest.mark.parametrize("usd", ["", "0", "-5", "nan", "inf", "much"])
def test_a_budget_is_a_number_that_can_be_used_up(asked: dict[str, str], usd: str) -> None:
    with pytest.raises(NotAsked, match="CMR_LIVE_BUDGET_USD"):
        consent(asked | {"CMR_LIVE_BUDGET_USD": usd})


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SAGEMAKER"])
def test_with_somebody_elses_address_no_account_is_believed(asked: dict[str, str], name: str) -> None:
    with pytest.raises(NotAsked, match=f"{name} is set"):
        consent(asked | {name: "http://127.0.0.1:5000"})


@pytest.mark.parametrize("url", ["https://ec2.us-east-1.amazonaws.com", "http://10.0.0.1:5000", "nonsense.example"])
def test_a_rehearsal_stays_on_this_machine(asked: dict[str, str], url: str) -> None:
    here = asked | {"CMR_LIVE": "local", "AWS_ENDPOINT_URL": "http://127.0.0.1:5000"}
    assert consent(here).rehearsal
    with pytest.raises(NotAsked, match="leads away"):
        consent(here | {"AWS_ENDPOINT_URL_EC2": f"//{url}" if "//" not in url else url})
    with pytest.raises(NotAsked, match="a rehearsal needs AWS_ENDPOINT_URL"):
        consent(asked | {"CMR_LIVE": "local"})


def test_a_size_costs_what_the_dearest_behind_it_does() -> None:
    assert prices.per_hour("aws-ec2/gpu-small", "us-east-1") == prices.per_hour("g5.xlarge", "us-east-1")
    assert prices.per_hour("ml.c7i.xlarge", "us-east-1") > prices.per_hour("c7i.xlarge", "us-east-1")
    assert prices.per_hour("c7i.xlarge", "eu-central-1") > prices.per_hour("c7i.xlarge", "us-east-1")


@pytest.mark.parametrize("word", ["p5.48xlarge", "ml.m5.large", "aws-ec2/gpu-xlarge", "aws-ec2/enormous"])
def test_what_has_no_price_is_refused(word: str) -> None:
    with pytest.raises(prices.Unpriced, match="add it, with its source"):
        prices.per_hour(word, "us-east-1")


def test_the_table_agrees_with_that_of_the_local_cloud() -> None:
    both = prices.PER_HOUR.keys() & local.LISTED.keys()
    assert both
    assert {name: prices.PER_HOUR[name] for name in both} == {name: local.LISTED[name] for name in both}


def test_a_test_is_paid_for_until_its_things_are_removed() -> None:
    bill = Bill("t", ("c7i.xlarge", "c7i.xlarge"), minutes=40, questions=0)
    assert bill.usd("us-east-1") == pytest.approx(2 * (0.1785 + prices.BESIDES_PER_HOUR) * 1.0)
    assert total([bill, bill], "us-east-1") >= 2 * bill.usd("us-east-1")


def test_more_than_the_budget_is_refused_with_the_dearest_named() -> None:
    bills = [Bill("cheap", ("c7i.large",), 10), Bill("dear", ("g6e.xlarge",), 60)]
    assert within(bills, "us-east-1", 100) < 100
    with pytest.raises(Overdrawn, match=r"these 2 tests may cost .* 1\.00 are allowed: nothing was made.*: dear "):
        within(bills, "us-east-1", 1)


def test_a_test_that_does_not_say_what_it_costs_is_refused() -> None:
    with pytest.raises(Overdrawn, match="test_x does not say what it costs"):
        bill_of("test_x", None)
    marker = SimpleNamespace(args=("c7i.large",), kwargs={"minutes": 30})
    assert bill_of("test_x", marker, at_most_min=5).minutes == 5


def test_the_journal_says_what_is_open_and_forgets_what_was_seen_gone(tmp_path: Path) -> None:
    path, deployment = (
        tmp_path / "deep" / "journal.jsonl",
        builders.deployment(spec=builders.model_spec(context_size=9)),
    )
    theirs = Stranger("model", "cmr-x", "us-west-2")
    journal = Journal(path, lambda: datetime.now(UTC))
    journal.begins(LINEAGE, "aws-ec2", "t::one")
    journal.begins(deployment.lineage, "aws-ec2", "t::two")
    journal.asks(deployment)
    journal.puts(deployment.lineage, theirs)
    journal.gone(LINEAGE)
    journal.found("t::two", "ready after 3 s")
    assert opened(path) == (Open(deployment.lineage, "aws-ec2", "t::two", (deployment,), (theirs,)),)
    assert len(opened(path, everything=True)) == 2
    assert findings(path) == (("t::two", "ready after 3 s"),)


def test_a_line_that_a_crash_cut_off_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"at": "2026', encoding="utf-8")
    journal = Journal(path, lambda: datetime.now(UTC))
    journal.begins(LINEAGE, "aws-ec2", "t::one")
    assert [one.lineage for one in opened(path)] == [LINEAGE]


def test_a_journal_belongs_to_one_at_a_time(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal.jsonl", lambda: datetime.now(UTC))
    with pytest.raises(Busy, match="another run or sweep has"):
        Journal(tmp_path / "journal.jsonl", lambda: datetime.now(UTC))
    first.close()
    Journal(tmp_path / "journal.jsonl", lambda: datetime.now(UTC)).close()


def test_the_guard_opens_to_what_a_look_up_led_to_and_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(host: Any, *_: Any, **__: Any) -> Any:
        return [(socket.AF_INET, 0, 0, "", ("52.94.1.1" if "aws" in host else "203.0.113.9", 443))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    guard = Egress()
    guard.open_to(["amazonaws.com"], [ip_network("10.0.0.0/16")])
    for allowed in ("ec2.us-east-1.amazonaws.com", "10.0.3.4", "127.0.0.1"):
        guard._judge(allowed)
    for refused in ("52.94.1.1", "amazonaws.com.example", "evilamazonaws.com", "10.1.0.1", "192.0.2.1"):
        with pytest.raises(OSError, match="do not leave this machine"):
            guard._judge(refused)
    socket.getaddrinfo("ec2.us-east-1.amazonaws.com", 443)
    socket.getaddrinfo("else.example", 443)
    guard._judge("52.94.1.1")
    with pytest.raises(OSError, match="do not leave this machine"):
        guard._judge("203.0.113.9")
