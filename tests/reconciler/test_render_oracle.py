"""The override file, read by the real docker compose: it must come to what we meant, with no models left in it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.compose.project import Binding, Service
from reconciler.render.environments import ServiceEnvironment, service_environments
from reconciler.render.text import override_body
from tests.builders import binding, endpoint, keyed_endpoint, model, project, service
from tests.parts import docker, docker_compose

pytestmark = pytest.mark.oracle

MODELS = "models: {llm: {model: ai/smollm2, context_size: 1024}}\n"
THROUGH_GATEWAY = "http://host.docker.internal:8080/v1/"
GIVEN = {"LLM_MODEL": "ai/smollm2", "LLM_URL": THROUGH_GATEWAY}
GATEWAY_HOST = ["host.docker.internal=host-gateway"]


def compose(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One docker compose command in `folder`, with an environment that has nothing else in it."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    if "DOCKER_HOST" in os.environ:  # the engine that the tests started
        environment["DOCKER_HOST"] = os.environ["DOCKER_HOST"]
    command = [str(docker_compose()), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def config(folder: Path, base: str, override: str, *options: str) -> Mapping[str, Any]:
    """What compose makes of base and override together: its services by name."""
    (folder / "compose.yaml").write_text(base)
    (folder / "compose.models.yaml").write_text(override)
    files = ("-f", "compose.yaml", "-f", "compose.models.yaml")
    # YAML, because the JSON form never shows models.
    shown = compose(folder, *files, *options, "config")
    assert shown.returncode == 0, shown.stderr
    assert "models:" not in shown.stdout
    assert "provider:" not in shown.stdout
    done = compose(folder, *files, *options, "config", "--format", "json")
    services: Mapping[str, Any] = json.loads(done.stdout)["services"]
    return services


def override(*services: Service, providers: frozenset[str] = frozenset(), key_file: str | None = None) -> str:
    environments: tuple[ServiceEnvironment, ...] = service_environments(
        project(*services, providers=providers), {"llm": endpoint(), "ai-runner": endpoint(), "my.model-x": endpoint()}
    )
    return override_body(environments, lambda name: key_file, providers)


@pytest.mark.parametrize(
    "form",
    ["[llm]", "{llm: {}}", "{llm: null}", "{llm: {endpoint_var: LLM_URL, model_var: LLM_MODEL}}"],
    ids=["short", "long", "null", "named"],
)
def test_every_form_of_binding(tmp_path: Path, form: str) -> None:
    base = f"services: {{app: {{image: i, models: {form}}}}}\n{MODELS}"
    app = config(tmp_path, base, override(service("app", "llm")))["app"]
    assert app["environment"] == GIVEN
    assert app["extra_hosts"] == GATEWAY_HOST


@pytest.mark.parametrize("written", ["[LLM_URL=mine, A=b]", "{LLM_URL: mine, A: b}"], ids=["as a list", "as a mapping"])
def test_ours_wins_over_the_services_own_value_and_keeps_the_others(tmp_path: Path, written: str) -> None:
    base = f"services: {{app: {{image: i, models: [llm], environment: {written}}}}}\n{MODELS}"
    assert config(tmp_path, base, override(service("app", "llm")))["app"]["environment"] == GIVEN | {"A": "b"}


@pytest.mark.parametrize("written", ['["db:10.0.0.1"]', "{db: 10.0.0.1}"])
def test_other_extra_hosts_stay(tmp_path: Path, written: str) -> None:
    base = f"services: {{app: {{image: i, models: [llm], extra_hosts: {written}}}}}\n{MODELS}"
    app = config(tmp_path, base, override(service("app", "llm")))["app"]
    assert sorted(app["extra_hosts"]) == ["db=10.0.0.1", *GATEWAY_HOST]


def test_extended_service(tmp_path: Path) -> None:
    (tmp_path / "common.yaml").write_text("services: {base: {image: i, models: [llm], depends_on: {}}}\n")
    base = f"services: {{app: {{extends: {{file: common.yaml, service: base}}}}}}\n{MODELS}"
    assert config(tmp_path, base, override(service("app", "llm")))["app"]["environment"] == GIVEN


def test_included_service(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text(f"services: {{app: {{image: i, models: [llm]}}}}\n{MODELS}")
    services = config(tmp_path, "include: [part.yaml]\n", override(service("app", "llm")))
    assert services["app"]["environment"] == GIVEN


@pytest.mark.parametrize("profile", [(), ("--profile", "extra")], ids=["profile off", "profile on"])
def test_service_of_a_profile(tmp_path: Path, profile: tuple[str, ...]) -> None:
    base = f"services: {{app: {{image: i}}, off: {{image: i, models: [llm], profiles: [extra]}}}}\n{MODELS}"
    services = config(tmp_path, base, override(service("app"), service("off", "llm", active=False)), *profile)
    assert sorted(services) == (["app", "off"] if profile else ["app"])
    if profile:
        assert services["off"]["environment"] == GIVEN


@pytest.mark.parametrize("name", ["my.app", "no", "y", "1e3", "0x10", "a-b_c", "null", "on"])
def test_names_that_yaml_could_take_for_something_else(tmp_path: Path, name: str) -> None:
    base = f"services: {{'{name}': {{image: i, models: [llm]}}}}\n{MODELS}"
    assert config(tmp_path, base, override(service(name, "llm")))[name]["environment"] == GIVEN


def test_variables_with_dots_and_dashes(tmp_path: Path) -> None:
    base = "services: {app: {image: i, models: [my.model-x]}}\nmodels: {my.model-x: {model: ai/smollm2}}\n"
    app = config(tmp_path, base, override(service("app", "my.model-x")))["app"]
    assert app["environment"] == {"MY.MODEL_X_MODEL": "ai/smollm2", "MY.MODEL_X_URL": THROUGH_GATEWAY}


@pytest.mark.parametrize("mode", ["host", "none", "service:db", "container:abc", "bridge"])
def test_every_network_mode_is_accepted(tmp_path: Path, mode: str) -> None:
    base = f"services: {{app: {{image: i, models: [llm], network_mode: '{mode}'}}, db: {{image: i}}}}\n{MODELS}"
    app = config(tmp_path, base, override(service("app", "llm", network_mode=mode), service("db")))["app"]
    assert ("extra_hosts" in app) == (mode == "bridge")


def test_values_come_back_as_they_were(tmp_path: Path) -> None:
    hostile = "a$b ${HOME} $$ \"q\" \\ # : {x} é 😀 - !reset 's' `t` %"
    environment = ServiceEnvironment(name="app", active=True, variables={"X": hostile})
    base = f"services: {{app: {{image: i, models: [llm]}}}}\n{MODELS}"
    app = config(tmp_path, base, override_body([environment], lambda name: None))["app"]
    # compose doubles every dollar in what it prints
    assert app["environment"]["X"].replace("$$", "$") == hostile


def test_keys_come_from_a_raw_file(tmp_path: Path) -> None:
    keys = tmp_path / "k$y 'é'.env"
    keys.write_text("LLM_API_KEY=s$k\"'# x\n")
    base = f"services: {{app: {{image: i, models: [llm]}}}}\n{MODELS}"
    environments = service_environments(project(service("app", "llm")), {"llm": keyed_endpoint()})
    app = config(tmp_path, base, override_body(environments, lambda name: str(keys)))["app"]
    assert app["environment"]["LLM_API_KEY"].replace("$$", "$") == "s$k\"'# x"


def test_missing_key_file_stops_the_service(tmp_path: Path) -> None:
    base = f"services: {{app: {{image: i, models: [llm]}}}}\n{MODELS}"
    (tmp_path / "compose.yaml").write_text(base)
    environments = service_environments(project(service("app", "llm")), {"llm": keyed_endpoint()})
    (tmp_path / "o.yaml").write_text(override_body(environments, lambda name: str(tmp_path / "absent.env")))
    refused = compose(tmp_path, "-f", "compose.yaml", "-f", "o.yaml", "config")
    assert (refused.returncode, "absent.env not found" in refused.stderr) == (1, True)


def test_model_that_is_not_ready_leaves_the_service_without_its_variables(tmp_path: Path) -> None:
    base = f"services: {{app: {{image: i, models: [llm]}}}}\n{MODELS}"
    environments = service_environments(project(service("app", "llm")), {})
    assert "environment" not in config(tmp_path, base, override_body(environments, lambda name: None))["app"]


def test_nothing_to_write_is_a_valid_override(tmp_path: Path) -> None:
    assert list(config(tmp_path, "services: {app: {image: i}}\n", override_body([], lambda name: None))) == ["app"]


PROVIDER = "ai-runner: {provider: {type: model, options: {model: [ai/smollm2]}}}"


def provided(**names: str) -> Binding:
    given = {"endpoint_var": "AI-RUNNER_URL", "model_var": "AI-RUNNER_MODEL"} | names
    return binding("ai-runner", **given)


@pytest.mark.parametrize(
    "dependency",
    ["[ai-runner, db]", "{ai-runner: {condition: service_started}, db: {condition: service_started}}"],
    ids=["short", "long"],
)
def test_legacy_provider_goes_and_other_dependencies_stay(tmp_path: Path, dependency: str) -> None:
    base = f"services: {{app: {{image: i, depends_on: {dependency}}}, db: {{image: i}}, {PROVIDER}}}\n"
    ours = override(service("app", provided()), service("db"), providers=frozenset({"ai-runner"}))
    services = config(tmp_path, base, ours)
    assert sorted(services) == ["app", "db"]
    assert list(services["app"]["depends_on"]) == ["db"]
    assert services["app"]["environment"] == {"AI-RUNNER_MODEL": "ai/smollm2", "AI-RUNNER_URL": THROUGH_GATEWAY}


def test_legacy_provider_of_an_inactive_service_goes(tmp_path: Path) -> None:
    base = f"services: {{app: {{image: i, depends_on: [ai-runner], profiles: [x]}}, db: {{image: i}}, {PROVIDER}}}\n"
    parts = (service("app", provided(), active=False), service("db"))
    ours = override(*parts, providers=frozenset({"ai-runner"}))
    assert sorted(config(tmp_path, base, ours)) == ["db"]
    assert sorted(config(tmp_path, base, ours, "--profile", "x")) == ["app", "db"]


def test_legacy_provider_that_nobody_wants_goes(tmp_path: Path) -> None:
    base = f"services: {{db: {{image: i}}, {PROVIDER}}}\n"
    assert list(config(tmp_path, base, override(service("db"), providers=frozenset({"ai-runner"})))) == ["db"]


def test_legacy_provider_of_an_included_file_goes(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text(f"services: {{app: {{image: i, depends_on: [ai-runner]}}, {PROVIDER}}}\n")
    base = "include: [part.yaml]\nservices: {web: {image: i, depends_on: [app, ai-runner]}}\n"
    parts = (service("app", provided()), service("web", provided()))
    services = config(tmp_path, base, override(*parts, providers=frozenset({"ai-runner"})))
    assert sorted(services) == ["app", "web"]


def test_legacy_provider_beside_a_declared_model(tmp_path: Path) -> None:
    base = f"services: {{app: {{image: i, models: [llm], depends_on: [ai-runner]}}, {PROVIDER}}}\n{MODELS}"
    parts = project(service("app", "llm", provided()), model("llm"), providers=frozenset({"ai-runner"}))
    environments = service_environments(parts, {"llm": endpoint(), "ai-runner": endpoint()})
    services = config(tmp_path, base, override_body(environments, lambda name: None))
    assert len(services["app"]["environment"]) == 4


@pytest.mark.docker
@pytest.mark.parametrize(
    ("wants", "complaint"),
    [
        ("models: [llm]", "'models' support requires Docker Model plugin"),
        ("depends_on: [ai-runner]", 'exec: "model": executable file not found in $PATH'),
    ],
    ids=["models", "provider"],
)
def test_up_needs_no_plugin(tmp_path: Path, wants: str, complaint: str) -> None:
    """Compose asks model plugins also in a dry run: it fails without the override, and passes with it."""
    docker()
    base = (
        f"services: {{app: {{image: i, {wants}}}, {PROVIDER if 'ai-runner' in wants else 'db: {image: i}'}}}\n{MODELS}"
    )
    bound = provided() if "ai-runner" in wants else binding("llm")
    config(tmp_path, base, override(service("app", bound), providers=frozenset({"ai-runner"} & {bound.model})))
    up = ("--dry-run", "up", "-d", "--pull", "never")
    before = compose(tmp_path, "-f", "compose.yaml", *up)
    assert (before.returncode, complaint in before.stderr) == (1, True)
    after = compose(tmp_path, "-f", "compose.yaml", "-f", "compose.models.yaml", *up)
    assert after.returncode == 0, after.stderr
