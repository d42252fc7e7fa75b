"""Every option of the installed llama-server in every spelling: allowed with a value of its type, or refused by a rule.

The list of options is the server's own, so a newer server cannot bring one that nobody thought of.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

from drivers import flags
from drivers.base import Handling
from drivers.flags import Flag
from tests import parts
from tests.drivers.llamahelp import Option, options

pytestmark = pytest.mark.llama

HARMLESS = re.compile(
    r"N|M|P|N0,N1,.*|MiB0,.*|lo-hi|<0\|1>|<0\.\.\.100>|<dev1,dev2,\.\.>|DEVICE|INDEX|TYPE|MODE|FORMAT|LEVEL|MESSAGE"
    r"|SAMPLERS|SEED|SEQUENCE|SIMILARITY|SECONDS|STRING|JINJA_TEMPLATE|TOKEN_ID\(\+/-\)BIAS|none,draft-simple,.*"
    r"|[\[{][a-z]+(?:[|,][a-z]+)+[\]}]"
)
"""What the help calls the values of options that may be allowed; not FNAME, PATH, DIR, URL, HOST, KEY or JSON."""

DANGEROUS = re.findall(
    r"\S+",
    """
    --log-file --log-prompts-dir --slot-save-path -lcd --lookup-cache-dynamic
    --mcp-servers-json --mcp-servers-config --tools --tools-runtime --agent -ag --video-ffmpeg-dir
    --path --media-path --grammar-file -jf --json-schema-file --chat-template-file --ui-config-file --models-preset
    -m --model -mm --mmproj -md --lora --lora-scaled --control-vector -lcs --models-dir
    -mu --model-url -hf --hf-repo -hff --hf-file -hft --hf-token -dr --docker-repo -mmu
    --rpc --ui-mcp-proxy --gpt-oss-20b-default --spec-draft-hf -a --alias --props --metrics
    --host --port --reuse-port --api-key --api-key-file --api-prefix --ssl-key-file --ssl-cert-file --cors-origins
    -v --verbose --log-disable -np -c --ctx-size -ngl
""",
)
"""What was seen to write, read, execute, fetch, listen or tell: each must be among the installed server's options."""

VALUES = ("1", "/tmp/x", "{}", "--log-file")


def spellings(name: str) -> Iterator[str]:
    """An option's name in all ways that anybody, or any version of the server, may take for it."""
    yield name
    body = name.lstrip("-")
    if name.startswith("--"):
        yield "--" + body.replace("-", "_")
        if "-" in body:
            yield "--" + body.replace("-", "_", 1)
    yield name.upper()
    yield "-" + body if name.startswith("--") else "--" + body


def written(name: str, value: str) -> Iterator[tuple[str, ...]]:
    """With its value in all ways that a list can hold the two."""
    yield (name, value)
    yield (f"{name}={value}",)
    yield (f"{name} {value}",)


def names(found: tuple[Option, ...]) -> list[str]:
    return [name for option in found for name in option.names]


def passed(items: tuple[str, ...]) -> tuple[str, ...] | None:
    """What the server would be given; None where it is refused by a rule that has a name."""
    refused = [finding for finding in flags.judge(items) if finding.handling is Handling.REJECTED]
    if not refused:
        return flags.arguments(items)
    assert all(re.match(r"refused by the rule '.+': .", finding.detail) for finding in refused)
    with pytest.raises(flags.Refusal):
        flags.arguments(items)
    return None


def test_nothing_that_names_a_file_a_place_or_a_program_is_allowed() -> None:
    allowed = flags.catalog().allowed
    bad = [
        (option.names, option.value)
        for option in options()
        if option.value is not None and any(name in allowed for name in option.names)
        if not HARMLESS.fullmatch(option.value)
    ]
    assert not bad


def test_all_names_of_an_option_share_its_fate() -> None:
    known = flags.catalog()
    split = [option.names for option in options() if len({name in known.allowed for name in option.names}) > 1]
    assert split == [("--ui", "--webui", "--no-ui", "--no-webui"), ("--slots", "--no-slots")], (
        "to switch a surface off is allowed, to switch it on is not"
    )


@pytest.mark.parametrize("name", DANGEROUS)
def test_what_is_dangerous_is_refused_in_every_spelling(name: str) -> None:
    assert name in names(options()), "no such option any more: is it called otherwise?"
    allowed = flags.catalog().allowed
    for spelled in spellings(name):
        if spelled in allowed:  # another option, such as -C beside -c
            continue
        assert passed((spelled,)) is None
        for value in VALUES:
            for items in written(spelled, value):
                assert passed(items) is None, items
        assert passed(("--seed", spelled, "1")) is None, "not as the value of another one either"
        assert passed((f" {spelled}", "1")) is None
        assert passed((f"{spelled}\t1",)) is None


def test_no_spelling_of_any_option_reaches_the_server_as_something_else() -> None:
    """Whatever passes is a name of the list, exactly as the list has it, and a value that its type accepts."""
    count = 0
    for name in names(options()):
        for spelled in spellings(name):
            for value in VALUES:
                for items in written(spelled, value):
                    words = passed(items)
                    if words is not None:
                        count += 1
                        assert words[0] == spelled.replace("_", "-").strip()
                        assert_clean(words)
    assert count > 500


def assert_clean(words: tuple[str, ...]) -> None:
    """Names of the list, each with a value where it takes one."""
    left = list(words)
    while left:
        flag = flags.catalog().allowed[left.pop(0)]
        if flag.kind != "switch":
            value = left.pop(0)
            flag.check(value)
            assert "/" not in value
            assert "\\" not in value
            assert not re.match(r"-[^0-9]", value)


def test_every_option_of_the_list_is_refused_with_a_value_that_is_not_its_own() -> None:
    for flag in set(flags.catalog().allowed.values()):
        for value in ("/etc/passwd", "../x", "$(id)", "--log-file", "-v", "", " ", "x\ny", "`id`"):
            assert passed((flag.names[0], value)) is None or value in flag.choices, (flag.names, value)


def test_the_server_knows_what_is_passed_on() -> None:
    """All allowed options that it has, each with a value of its type, then `--version`: it reads them, and ends."""
    have, words = set(names(options())), []
    for flag in dict.fromkeys(flags.catalog().allowed.values()):
        own = next((name for name in flag.names if name in have), None)
        if own is not None:
            words += flags.arguments((own, *_fitting(flag)))
    assert len(words) > 150
    done = subprocess.run([parts.llama_server(), *words, "--version"], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()[-500:]
    assert b"version" in done.stdout + done.stderr


_TEXTS = {
    "--cpu-mask": "0x1",
    "--cpu-range": "0-1",
    "--cpu-mask-batch": "1",
    "--cpu-range-batch": "0-1",
    "--device": "none",
    "--tensor-split": "1,2.5",
    "--fit-target": "1024",
    "--mmproj-device": "none",
    "--samplers": "top_k;temperature",
    "--sampler-seq": "kt",
    "--logit-bias": "15043-1",
    "--chat-template": "chatml",
    "--reasoning-effort": "low",
    "--reasoning-budget-message": "Enough.",
    "--spec-type": "ngram-simple",
}


def _fitting(flag: Flag) -> tuple[str, ...]:
    """A value of its type, none for a switch. A text has an example of its own here, so that none is forgotten."""
    if flag.kind == "switch":
        return ()
    if flag.kind in ("int", "float"):
        return (f"{flag.high:g}" if flag.high < 100_000 else f"{max(flag.low, 1):g}",)
    if flag.kind == "choice":
        return (flag.choices[0],)
    return ("{}",) if flag.kind == "json" else (_TEXTS[flag.names[0]],)
