"""The operator's settings: where everything lies, and every mistake with its place."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from drivers.aws.settings import AwsSettings
from drivers.llamacpp.settings import AUTO, LlamaCppSettings
from reconciler.errors import InputError
from reconciler.platform_settings import LocalSettings
from reconciler.policy import Policy
from reconciler.settings import (
    MIN_LEASE_TTL_S,
    ProjectSettings,
    Settings,
    Timing,
    config_folder,
    default_settings,
    read_settings,
)
from reconciler.tenure import KEEP_EVERY_S, MAX_CALL_S
from reconciler.wiring import aws_settings, llamacpp_settings

FILE = Path("/etc/reconciler.yaml")
HOME = {"HOME": "/home/ada"}
STATE = "/home/ada/.local/state/compose-model-reconciler"


def _read(text: str, environment: dict[str, str] | None = None) -> Settings:
    return read_settings(FILE, text.encode(), environment or HOME)


def test_everything_has_a_default_below_the_users_own_folders() -> None:
    settings = default_settings(HOME)
    assert settings.state == f"sqlite://{STATE}/state.db"
    assert settings.state_dir == Path(STATE)
    assert settings.models_dir == Path("/home/ada/.local/share/compose-model-reconciler/models")
    assert config_folder(HOME) == Path("/home/ada/.config/compose-model-reconciler")
    assert settings.policy == Policy()


EXAMPLE = (Path(__file__).parents[2] / "examples/reconciler.yaml").read_text(encoding="utf-8")


def test_the_example_says_what_the_defaults_are() -> None:
    assert _read(EXAMPLE) == default_settings(HOME)


def test_the_example_has_every_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", HOME["HOME"])
    # "#key:" is a setting, and so is what is indented behind a '#'; "# Text" is none.
    whole = re.sub(r"^( *)#(?=[a-z_]+:|  )", r"\1", EXAMPLE, flags=re.MULTILINE)
    whole = whole.replace("projects: []\n", "")
    settings = _read(whole)
    defaults = default_settings(HOME)
    assert [settings.state, settings.state_dir, settings.models_dir] == [
        *(defaults.state, defaults.state_dir, defaults.models_dir)
    ]
    document = yaml.safe_load(whole)
    (project,) = document.pop("projects")
    assert project.keys() == set(ProjectSettings._fields)
    assert document.pop("policy").keys() == set(Policy._fields)
    assert document.pop("timing").keys() == {name.removesuffix("_s") for name in Timing._fields}
    assert document.pop("llamacpp").keys() == {name.removesuffix("_s") for name in LocalSettings._fields}
    aws = {field.name.removesuffix("_s") for field in fields(AwsSettings)} - {
        "key_root",
        "substitute",
    }  # ours, and one of `default_options`
    assert document.pop("aws").keys() == aws
    others = {field.name for field in fields(Settings)} - {"projects", "policy", "timing", "local", "aws"}
    assert document.keys() == others


def test_what_the_operator_sets_for_local_servers_reaches_the_driver() -> None:
    """The refusal of `cloud.visibility=public` names a setting that nobody could make."""
    settings = _read(
        "llamacpp: {public: true, environment: {CUDA_VISIBLE_DEVICES: 0}, health_timeout: 5s, answer_timeout: 1m}"
    )
    given = llamacpp_settings(settings, {"PATH": "/bin"})
    assert given.public
    assert given.server_environment == {"CUDA_VISIBLE_DEVICES": "0"}
    assert given.environment == {"PATH": "/bin"}
    assert (given.health_timeout_s, given.answer_timeout_s) == (5.0, 60.0)
    standard = llamacpp_settings(default_settings(HOME), {})
    own = LlamaCppSettings(run_root=standard.run_root, bind=AUTO)
    assert standard == own, "the defaults are the driver's"


def test_the_tables_of_aws_give_names_to_what_a_repository_may_not_say() -> None:
    settings = _read(
        "aws: {region: eu-west-1, roles: {default: arn, batch: arn2}, max_replicas: 2, answer_timeout: 9s}"
    )
    given = aws_settings(settings)
    assert given.key_root == Path(STATE) / "aws"
    assert (given.region, given.max_replicas, given.answer_timeout_s) == ("eu-west-1", 2, 9.0)
    assert given.roles == {"default": "arn", "batch": "arn2"}
    assert default_settings(HOME).aws is None


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}\n", "projects:\n", "policy:\n", "projects: []\n"])
def test_an_empty_file_or_section_means_the_defaults(text: str) -> None:
    assert _read(text) == default_settings(HOME)


def test_the_base_directories_are_followed_and_relative_ones_ignored() -> None:
    given = HOME | {"XDG_STATE_HOME": "/var/state", "XDG_DATA_HOME": "data", "XDG_CONFIG_HOME": "/etc/xdg"}
    settings = default_settings(given)
    assert settings.state_dir == Path("/var/state/compose-model-reconciler")
    assert settings.models_dir == Path("/home/ada/.local/share/compose-model-reconciler/models")
    assert config_folder(given) == Path("/etc/xdg/compose-model-reconciler")


def test_a_home_that_is_relative_does_not_end_in_a_state_on_another_host() -> None:
    """`sqlite://./x` would name the host `.`."""
    assert default_settings({"HOME": "."}).state.startswith("sqlite:///")


@pytest.mark.parametrize(
    ("written", "state"),
    [
        ("state: sqlite:state.db", "sqlite:///etc/state.db"),
        ("state: state.db", "sqlite:///etc/state.db"),
        ("state: sqlite:///var/state.db", "sqlite:///var/state.db"),
        ("state: /var/state.db", "sqlite:///var/state.db"),
        ("state: postgresql://db/x", "postgresql://db/x"),
        ("state_dir: run", "sqlite:///etc/run/state.db"),
        ("state_dir: /run/r", "sqlite:///run/r/state.db"),
    ],
)
def test_relative_places_are_relative_to_the_file(written: str, state: str) -> None:
    assert _read(written).state == state


def test_the_file_comes_before_the_environment_and_that_before_the_default() -> None:
    given = HOME | {"RECONCILE_STATE": "sqlite:///env.db"}
    assert _read("", given).state == "sqlite:///env.db"
    assert _read("state_dir: /run/r", given).state == "sqlite:///env.db"
    assert _read("state: sqlite:///file.db", given).state == "sqlite:///file.db"


def test_a_whole_file_is_read() -> None:
    settings = _read(
        """
        state_dir: /run/r
        models_dir: models
        default_platform: llamacpp
        provider_platforms: {aws: aws-ec2}
        default_options: {cloud.drain-timeout: 10s, cloud.replicas: 2}
        allow_unknown_options: true
        allow_variables: HF_TOKEN
        llamacpp: {server: bin/llama-server, bind: 127.0.0.1, models_roots: [weights, /srv], insecure_registries: "r:5"}
        policy: {allowed_platforms: [llamacpp], max_models: 0, max_removals: 1, max_removed_fraction: 1,
                 allow_empty: true}
        timing: {poll_interval: 5s, local_bake: 0s, lease_ttl: 2m, sweep_interval: 1h}
        projects:
          - checkout: shop
            name: shop
            ref: main
            files: compose.yaml
            output: out
            roll_out: true
        """
    )
    assert settings.models_dir == Path("/etc/models")
    assert settings.provider_platforms == {"aws": "aws-ec2"}
    assert settings.default_options == {"cloud.drain-timeout": "10s", "cloud.replicas": "2"}
    assert settings.allow_variables == {"HF_TOKEN"}
    assert settings.local.server == Path("/etc/bin/llama-server")
    assert settings.local.models_roots == (Path("/etc/weights"), Path("/srv"))
    assert settings.local.insecure_registries == ("r:5",)
    assert settings.policy == Policy(
        allowed_platforms=("llamacpp",), max_models=0, max_removals=1, max_removed_fraction=1.0, allow_empty=True
    )
    timing = settings.timing
    assert (timing.poll_interval_s, timing.lease_ttl_s, timing.sweep_interval_s) == (5, 120, 3600)
    (project,) = settings.projects
    assert (project.checkout, project.output, project.files) == (Path("/etc/shop"), Path("/etc/out"), ("compose.yaml",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("polcy: {}", "1:1: unknown setting 'polcy' (did you mean 'policy'?)"),
        ("policy:\n  max_modles: 1", "2:3: policy: unknown setting 'max_modles' (did you mean 'max_models'?)"),
        ("projects:\n  - chekout: x", "2:5: projects[0]: a project needs its 'checkout'"),
        ("projects:\n  -", "projects[0]: a project needs its 'checkout'"),
        ("projects:\n  - checkout: ''", "2:15: projects[0].checkout: must be text"),
        ("projects: {checkout: x}", "1:11: projects: must be a list"),
        ("projects: [x]", "1:12: projects[0]: must be a mapping"),
        ("projects:\n  - {checkout: x, source: git}", "projects[0].source: must be 'commit' or 'worktree'"),
        ("projects:\n  - {checkout: x, ref: 123}", "projects[0].ref: must be text; put it in quotes"),
        ("projects:\n  - {checkout: x}\n  - {checkout: ./x}", "3:5: projects[1]: the same project twice"),
        ("policy: []", "1:9: policy: must be a mapping"),
        ("policy: {max_models: -1}", "policy.max_models: must be a whole number, 0 or more"),
        ("policy: {max_models: true}", "policy.max_models: must be a whole number"),
        ("policy: {max_models: 2.5}", "policy.max_models: must be a whole number"),
        ("policy: {max_removed_fraction: 34}", "policy.max_removed_fraction: must be a number from 0 to 1"),
        ("policy: {allow_empty: 1}", "policy.allow_empty: must be true or false"),
        ("policy: {allowed_regions: [eu-west-1, 3]}", "1:39: policy.allowed_regions: must be text"),
        (
            "policy: {allowed_platforms: [llamacp]}",
            "1:9: policy.allowed_platforms: there is no platform 'llamacp' (did",
        ),
        ("policy: {allowed_platforms: [azure]}", "there is no platform 'azure' (there are llamacpp, docker-"),
        ("default_platform: aws_ec2", "default_platform: there is no platform 'aws_ec2' (did you mean 'aws-ec2'?)"),
        ("provider_platforms: {aws: ec2}", "provider_platforms.aws: there is no platform 'ec2'"),
        ("timing: {poll_interval: soon}", "timing.poll_interval: 'soon' is not a duration"),
        ("timing: {poll_interval: 0s}", "timing.poll_interval: must be 1s or more"),
        ("timing: {lease_ttl: 10s}", f"timing.lease_ttl: must be {MIN_LEASE_TTL_S}s or more"),
        ("timing: {lease_ttl: off}", "timing.lease_ttl"),
        ("default_options: {cloud.region: [a]}", "default_options.cloud.region: must be one value"),
        ("default_options: {cloud.region: }", "default_options.cloud.region: must be one value"),
        ("llamacpp: {bind: everywhere}", "llamacpp.bind: must be an address of this host"),
        ("llamacpp: {server: ~nobodyofthisname/x}", "there is no user whose home '~nobodyofthisname' could be"),
        ("state: ''", "1:8: state: must be text"),
        ("a: 1\n---\nb: 2", "settings are one document"),
        ("state_dir: a\nstate_dir: b", "2:1"),
        ("- x", "1:1: must be a mapping"),
        ("state: [", "1:"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        _read(text)
    assert str(error.value).startswith(str(FILE))
    assert said in str(error.value)


def test_the_shortest_lease_outlives_the_longest_call() -> None:
    """A quarter of it may be over before it is renewed, and a call is only begun with its whole time left."""
    assert MIN_LEASE_TTL_S * 3 / 4 - KEEP_EVERY_S > MAX_CALL_S
