"""Every option of the real llama-server is allowed with bounds or refused by a rule, and nothing gets past either."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import flags
from drivers.base import Finding, Handling
from tests.drivers import llamahelp


def verdicts(*given: str) -> list[Handling]:
    return [finding.handling for finding in flags.judge(given)]


def rule(*given: str) -> str:
    """The name of the rule that refuses the first item."""
    finding = flags.judge(given)[0]
    assert finding.handling is Handling.REJECTED, finding
    match = re.match(r"refused by the rule '(.+?)': .", finding.detail)
    assert match is not None, finding.detail
    return match[1]


def test_the_flag_of_the_documentation_is_honoured() -> None:
    assert flags.judge(["--no-prefill-assistant"]) == (Finding("runtime_flags[0]", Handling.HONOURED),)
    assert flags.arguments(["--no-prefill-assistant"]) == ("--no-prefill-assistant",)


@pytest.mark.parametrize(
    "written", [("--top-k=40",), ("--top-k 40",), ("--top-k", "40"), ("--top_k=40",), ("--top_k", "40")]
)
def test_every_way_to_write_a_flag_reaches_the_server_as_two_words(written: tuple[str, ...]) -> None:
    assert flags.arguments(written) == ("--top-k", "40")
    assert len(flags.judge(written)) == len(written)
    assert set(verdicts(*written)) <= {Handling.HONOURED, Handling.TRANSLATED}


def test_a_value_may_be_negative_or_hold_blanks_where_its_type_says_so() -> None:
    given = ["--seed", "-1", "--chat-template-kwargs", '{"enable_thinking": false}', "--temp", "-0.0"]
    assert flags.arguments(given[:4]) == tuple(given[:4])
    assert verdicts(*given[:4]) == [Handling.HONOURED] * 4


def test_an_older_switch_gets_the_value_that_it_meant() -> None:
    assert flags.arguments(["-fa", "--top-k", "1"]) == ("-fa", "on", "--top-k", "1")
    assert verdicts("-fa") == [Handling.TRANSLATED]
    assert flags.arguments(["-fa", "auto"]) == ("-fa", "auto")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (("--mcp-servers-json", "{}"), "code execution"),
        (("--mcp-servers-json={}",), "code execution"),
        (("--mcp_servers_json", "{}"), "code execution"),
        (("--mcp-servers-config", "/x"), "code execution"),
        (("--tools", "all"), "code execution"),
        (("--tools-runtime", "ssh:x"), "code execution"),
        (("--agent",), "code execution"),
        (("-ag",), "code execution"),
        (("--video-ffmpeg-dir", "/x"), "code execution"),
        (("--models-preset", "/x"), "file read"),
        (("--models-dir", "/x"), "file read"),
        (("--log-file", "/x"), "file write"),
        (("--log_file", "/x"), "file write"),
        (("--log-file=/x",), "file write"),
        (("--log-prompts-dir", "/x"), "file write"),
        (("--slot-save-path", "/x"), "file write"),
        (("-lcd", "/x"), "file write"),
        (("--path", "/"), "file read"),
        (("--media-path", "/"), "file read"),
        (("--grammar-file", "/x"), "file read"),
        (("-jf", "/x"), "file read"),
        (("--chat-template-file", "/x"), "file read"),
        (("--lora", "/x"), "file read"),
        (("--control-vector", "/x"), "file read"),
        (("-mm", "/x"), "file read"),
        (("-md", "/x"), "file read"),
        (("-lcs", "/x"), "file read"),
        (("-mu", "http://x"), "network"),
        (("-hf", "a/b"), "network"),
        (("-dr", "a"), "network"),
        (("-mmu", "http://x"), "network"),
        (("--rpc", "x:1"), "network"),
        (("-hft", "t"), "network"),
        (("--ui-mcp-proxy",), "network"),
        (("--gpt-oss-20b-default",), "network"),
        (("--host", "0.0.0.0"), "listener: address, port and keys are ours"),
        (("--port", "1"), "listener: address, port and keys are ours"),
        (("--reuse-port",), "listener: address, port and keys are ours"),
        (("--api-key", "x"), "listener: address, port and keys are ours"),
        (("--api-key-file", "/x"), "listener: address, port and keys are ours"),
        (("--api-prefix", "x"), "listener: address, port and keys are ours"),
        (("--cors-origins", "*"), "listener: address, port and keys are ours"),
        (("--props",), "listener: address, port and keys are ours"),
        (("--metrics",), "listener: address, port and keys are ours"),
        (("--ssl-key-file", "/x"), "listener: address, port and keys are ours"),
        (("-m", "/x"), "our own setting: the model"),
        (("--alias", "x"), "our own setting: the model"),
        (("-c", "10000000"), "our own setting: context_size"),
        (("--ctx-size=4096",), "our own setting: context_size"),
        (("-np", "100000"), "our own setting: cloud.replicas"),
        (("-ngl", "99"), "our own setting: llamacpp.gpu-layers"),
        (("--cache-ram", "-1"), "value"),
        (("--threads", "9999"), "value"),
        (("--temp", "nan"), "value"),
        (("--temp", "1e9"), "value"),
        (("--chat-template", "/etc/passwd"), "value"),
        (("--chat-template-kwargs", '{"a": "/etc"}'), "value"),
        (("--chat-template-kwargs", "[1]"), "value"),
        (("-v",), "prompts in logs"),
        (("-lv", "5"), "value"),
        (("--seed=--log-file=x",), "value"),
        (("--seed", "--log-file", "/x"), "value"),
        (("--reasoning-budget-message=--log-file",), "value"),
        (("--seed",), "value"),
        (("--top-k=",), "value"),
        (("--jinja=true",), "value"),
        (("-lm-nonsense",), "unknown flag"),
        (("--a-flag",), "unknown flag"),
        (("--another-flag=42",), "unknown flag"),
        (("--TOP-K", "1"), "unknown flag"),
        (("--",), "not a flag"),
        (("-",), "not a flag"),
        (("40",), "not a flag"),
        (("/etc/passwd",), "not a flag"),
        (("$(id)",), "not a flag"),
        (("--top-k 1 --log-file /x",), "value"),
        (("",), "empty"),
        (("  ",), "empty"),
        (("--top-k\n40",), "control characters"),
        (("--top-k", "4\0"), "control characters"),
        (("--x" * 2000,), "too long"),
    ],
)
def test_what_could_do_harm_is_refused_by_its_rule(written: tuple[str, ...], name: str) -> None:
    assert rule(*written) == name
    assert len(flags.judge(written)) == len(written)
    with pytest.raises(flags.Refusal):
        flags.arguments(written)


@pytest.mark.parametrize("again", [("--temp", "0.5"), ("--temperature=0.5",), ("--temp 1",)])
def test_a_flag_given_twice_under_any_name_is_refused(again: tuple[str, ...]) -> None:
    second = flags.judge(["--temp", "0.5", *again])[2]
    assert second.handling is Handling.REJECTED
    assert "'repeated'" in second.detail


def test_a_switch_and_its_opposite_are_the_same_flag() -> None:
    assert verdicts("--jinja", "--no-jinja") == [Handling.HONOURED, Handling.REJECTED]


def test_a_refused_flags_value_shares_its_rule() -> None:
    first, second = flags.judge(["--log-file", "/x"])
    assert first.detail == second.detail


def test_one_bad_flag_does_not_hide_the_good_ones() -> None:
    assert verdicts("--jinja", "--log-file", "/x", "--top-k", "1") == [
        Handling.HONOURED, Handling.REJECTED, Handling.REJECTED, Handling.HONOURED, Handling.HONOURED,
    ]  # fmt: skip


def test_a_typing_mistake_gets_a_hint() -> None:
    assert "did you mean --temperature?" in flags.judge(["--temperatur", "1"])[0].detail


def test_a_thousand_flags_are_too_many() -> None:
    many = [f"--x{number}" for number in range(1000)]
    assert "too many" in flags.judge(many)[-1].detail


def test_the_value_of_a_flag_is_found_under_any_of_its_names() -> None:
    assert flags.value_of(["-ctk", "q8_0"], "--cache-type-k") == "q8_0"
    assert flags.value_of(["--no-jinja"], "--jinja") == "--no-jinja"
    assert flags.value_of([], "--jinja") is None


def test_no_name_is_both_allowed_and_refused() -> None:
    known = flags.catalog()
    assert not known.allowed.keys() & known.refused.keys()
    assert all("_" not in name for name in (*known.allowed, *known.refused))


@pytest.mark.llama
def test_every_option_of_the_real_server_has_a_verdict() -> None:
    known = flags.catalog()
    options = real_options()
    assert len(options) > 300
    assert not [name for name in options if name not in known.allowed and name not in known.refused]


@pytest.mark.llama
def test_what_the_list_calls_a_switch_takes_no_value_in_the_real_server_either() -> None:
    known, takes_value = flags.catalog(), real_options()
    wrong = [
        name
        for name, flag in known.allowed.items()
        if name in takes_value and (flag.kind != "switch") != takes_value[name]
    ]
    assert not wrong


@given(st.lists(st.text(max_size=30) | st.sampled_from(["--top-k", "--log-file", "--seed=1", "-fa", "on", "4", "-1"])))
def test_any_list_gets_one_finding_per_item_and_nothing_unknown_comes_out(items: list[str]) -> None:
    findings = flags.judge(items)
    assert [finding.key for finding in findings] == [f"runtime_flags[{index}]" for index in range(len(items))]
    if any(finding.handling is Handling.REJECTED for finding in findings):
        with pytest.raises(flags.Refusal):
            flags.arguments(items)
        return
    words = flags.arguments(items)
    assert all(word in flags.catalog().allowed or not word.startswith("--") for word in words)


def real_options() -> dict[str, bool]:
    """Every spelling in the real server's help, and whether it takes a value."""
    return {name: option.value is not None for option in llamahelp.options() for name in option.names}
