"""What `load` returns beyond what docker compose prints: places, options, warnings, provider services, secrets."""

# ruff: noqa: E501 - a project is easier to read in one line

from __future__ import annotations

import time

import pytest

from reconciler.compose.environment import looks_secret
from reconciler.compose.project import Model, Project
from reconciler.errors import InputError, Location, SourceError
from tests.compose.cases.builders import APP, LLM, model
from tests.compose.memory import ROOT, project


def options(found: Model) -> dict[str, str]:
    return {option.key: option.text for option in found.options}


def refusal(text: str | dict[str, str | bytes], **request: object) -> str:
    with pytest.raises(InputError) as caught:
        project(text, **request)
    return str(caught.value)


def places(found: Model) -> dict[str, str]:
    return {option.key: str(option.location) for option in found.options}


def test_everything_has_the_place_where_it_was_written() -> None:
    text = """services:
  app:
    image: x
    models:
      llm: {endpoint_var: AI}
models:
  llm:
    model: ai/smollm2
    context_size: 4096
    runtime_flags:
      - --a
      - --b
    x-cloud-options:
      - cloud.region=us-west-2
"""
    found = project(text)
    llm = found.models["llm"]
    assert llm.location == Location("compose.yaml", 7, 3)
    assert llm.context_location == Location("compose.yaml", 9, 19)
    assert llm.flag_locations == (Location("compose.yaml", 11, 9), Location("compose.yaml", 12, 9))
    assert llm.options[0].location == Location("compose.yaml", 14, 9)
    assert found.services["app"].location == Location("compose.yaml", 2, 3)
    assert found.services["app"].bindings[0].location == Location("compose.yaml", 5, 7)


@pytest.mark.parametrize(
    "written",
    [
        "[cloud.region=eu, 'spot', ' a = b=c ']",
        "{cloud.region: eu, spot: true, a: b=c}",
        "{cloud: {region: eu}, spot: 'true', a: ' b=c'}",
        "[{cloud: {region: eu}}, spot, a=b=c]",
    ],
)
def test_all_forms_of_options_are_one(written: str) -> None:
    found = project(model(f"{{model: a, x-cloud-options: {written}}}"))
    assert options(found.models["llm"]) == {"cloud.region": "eu", "spot": "true", "a": "b=c"}


def test_option_values_are_the_text_as_written() -> None:
    text = model("{model: a, x-cloud-options: {a: 0x10, b: 1e3, c: yes, d: 010, e: 2024-01-01, f: 1.50, g: True}}")
    assert [option.text for option in project(text).models["llm"].options] == [
        *("0x10", "1e3", "yes", "010", "2024-01-01", "1.50", "True")
    ]


def test_a_list_inside_an_option_is_joined_by_commas() -> None:
    text = model("{model: a, x-cloud-options: {cloud.region: [b, a, 1], cloud: {zones: [x]}}}")
    assert options(project(text).models["llm"]) == {"cloud.region": "b,a,1", "cloud.zones": "x"}


def test_the_last_file_wins_key_by_key() -> None:
    base = APP + LLM + "    x-cloud-options: [a=1, b=1]\n"
    over = "models:\n  llm:\n    x-cloud-options:\n      - b=2\n      - c=2\n"
    last = "models: {llm: {x-cloud-options: [c=3]}}\n"
    texts = {"compose.yaml": base, "over.yaml": over, "last.yaml": last}
    found = project(texts, files=tuple(texts)).models["llm"]
    assert options(found) == {"a": "1", "b": "2", "c": "3"}
    assert places(found)["b"] == "over.yaml:4:9"


def test_a_later_file_wins_whatever_the_form() -> None:
    texts = {
        "compose.yaml": APP + LLM + "    x-cloud-options: {cloud: {region: a}}\n",
        "b.yaml": "models: {llm: {x-cloud-options: {cloud.region: b}}}\n",
        "c.yaml": "models: {llm: {x-cloud-options: {cloud: {region: c}}}}\n",
    }
    assert options(project(texts, files=tuple(texts)).models["llm"]) == {"cloud.region": "c"}


def test_documents_of_one_file_are_like_files() -> None:
    text = APP + LLM + "    x-cloud-options: [a=1]\n---\nmodels: {llm: {x-cloud-options: [a=2]}}\n"
    assert options(project(text).models["llm"]) == {"a": "2"}


@pytest.mark.parametrize(
    "written", ["[a=1, a=2]", "[a=1, ' a = 2']", "{a.b: 1, a: {b: 2}}", "[a, a=1]", "[a=1, {a: 2}]"]
)
def test_one_key_twice_in_one_document_is_an_error(written: str) -> None:
    assert "is already set in compose.yaml:" in refusal(model(f"{{model: a, x-cloud-options: {written}}}"))


def test_top_level_options_are_the_projects_defaults() -> None:
    found = project("x-cloud-options: [cloud.region=eu]\n" + APP + LLM)
    assert [(option.key, option.text) for option in found.defaults] == [("cloud.region", "eu")]
    assert found.models["llm"].options == ()


def test_inactive_services_are_listed_and_want_nothing() -> None:
    found = project("services: {app: {image: x, profiles: [p], models: [llm]}}\n" + LLM)
    assert not found.services["app"].active
    assert [binding.model for binding in found.services["app"].bindings] == ["llm"]
    assert found.models == {}
    assert found.unused_models.keys() == {"llm"}


def test_variable_names_are_always_filled_in() -> None:
    text = "services: {app: {image: x, models: {my.model-x: {model_var: M}}}}\nmodels: {my.model-x: {model: a}}\n"
    (binding,) = project(text).services["app"].bindings
    assert (binding.endpoint_var, binding.model_var) == ("MY.MODEL_X_URL", "M")


def test_network_mode_and_extra_hosts_are_carried() -> None:
    text = "services:\n  a: {image: x, network_mode: host, extra_hosts: ['h:1.1.1.1', 'v6=::1']}\n  b: {image: x, extra_hosts: {z: 1.1.1.1}}\n"
    found = project(text).services
    assert (found["a"].network_mode, found["a"].extra_hosts) == ("host", frozenset({"h", "v6"}))
    assert (found["b"].network_mode, found["b"].extra_hosts) == (None, frozenset({"z"}))


def test_every_file_that_was_read_is_listed_once() -> None:
    texts = {
        "compose.yaml": "include: [inc/i.yaml]\nservices: {a: {extends: {file: e.yaml, service: b}}}\n",
        "compose.override.yaml": "{x-a: 1}",
        "inc/i.yaml": "services: {i: {image: x}}\n",
        "inc/.env": "A=1\n",
        "e.yaml": "services: {b: {image: x}}\n",
        ".env": "B=1\n",
    }
    found = project(texts)
    assert sorted(found.files) == sorted(f"{ROOT}/{name}" for name in texts)
    assert found.compose_files == (f"{ROOT}/compose.yaml", f"{ROOT}/compose.override.yaml")
    assert found.working_dir == ROOT


def test_places_in_other_files_carry_their_names() -> None:
    texts = {"compose.yaml": f"include: [inc/i.yaml]\n{APP}", "inc/i.yaml": LLM}
    assert str(project(texts).models["llm"].location) == "inc/i.yaml:2:3"
    assert refusal({"a.yaml": APP + "models: {llm: {}}\n"}, files=("./a.yaml",)).startswith(
        "./a.yaml:5:10: models.llm:"
    )


def test_an_unset_variable_is_blank_and_told_once_for_each_place() -> None:
    found = project(model("{model: 'a$NOPE', runtime_flags: ['--x${NOPE}']}"))
    assert found.models["llm"].model == "a"
    assert [warning.split(": ", 1)[0] for warning in found.warnings] == ["compose.yaml:6:16", "compose.yaml:6:42"]
    assert all("NOPE is not set" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: '3'\n" + APP + LLM, "compose.yaml:1:1: `version` is obsolete"),
        (model("{model: a, context_size: -1}"), "compose.yaml:6:33: models.llm.context_size: -1 has no effect"),
        (
            f"services: {{a: {{image: x, models: {{llm: {{endpoint_var: V, model_var: V}}}}}}}}\n{LLM}",
            "it gets the URL",
        ),
    ],
)
def test_what_surprises_is_a_warning(text: str, said: str) -> None:
    assert any(said in warning for warning in project(text).warnings)


def test_two_files_that_could_be_meant_are_a_warning() -> None:
    found = project({"compose.yaml": APP + LLM, "docker-compose.yml": APP + LLM})
    assert found.compose_files == (f"{ROOT}/compose.yaml",)
    assert "not docker-compose.yml" in found.warnings[0]


@pytest.mark.parametrize(
    "name",
    ["AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "db_password", "APIKEY", "MY-KEY", "GH_PAT", "PGPASSWORD", "SENTRY_DSN"],
)
def test_names_of_secrets_are_recognised(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name", ["MONKEY", "PWD", "REGION", "KEYBOARD", "TOKENIZER", "COMPOSE_PROJECT_NAME", "SSH_CONNECTION"]
)
def test_names_of_other_things_are_not_secrets(name: str) -> None:
    assert not looks_secret(name)


SECRET = {"HF_TOKEN": "hf_canary"}


@pytest.mark.parametrize(
    "text",
    [
        model("{model: 'evil/x:${HF_TOKEN}'}"),
        model("{model: a, runtime_flags: ['$HF_TOKEN']}"),
        model("{model: a, x-cloud-options: {cloud: {a: ['${HF_TOKEN:-d}']}}}"),
        model("{model: '${OTHER:-${HF_TOKEN}}'}"),
        "x-cloud-options: ['a=${HF_TOKEN}']\n" + APP + LLM,
        "name: '${HF_TOKEN}'\n" + APP + LLM,
        "include: ['${HF_TOKEN}.yaml']\n" + APP + LLM,
        f"services: {{app: {{image: x, models: {{llm: {{endpoint_var: '${{HF_TOKEN}}'}}}}}}}}\n{LLM}",
        "services: {app: {extends: {file: '${HF_TOKEN}', service: a}}}\n",
        "x-a: &a '${HF_TOKEN}'\n" + APP + "models: {llm: {model: *a }}\n",
    ],
)
def test_a_secret_of_the_process_is_not_read_into_anything_we_act_on(text: str) -> None:
    message = refusal(text, environment=SECRET)
    assert "--allow-variable HF_TOKEN" in message
    assert "hf_canary" not in message


def test_nor_by_way_of_an_env_file() -> None:
    for line in ("A=${HF_TOKEN}", "HF_TOKEN\nA=$HF_TOKEN", "B=$HF_TOKEN\nA=x$B"):
        texts: dict[str, str | bytes] = {"compose.yaml": model("{model: 'p/$A'}"), ".env": line + "\n"}
        assert "--allow-variable HF_TOKEN" in refusal(texts, environment=SECRET)


def test_a_secret_may_be_allowed_or_stand_in_the_projects_env_file() -> None:
    text = model("{model: 'p/$HF_TOKEN'}")
    allowed = project(text, environment=SECRET, allow_variables=frozenset(SECRET))
    assert allowed.models["llm"].model == "p/hf_canary"
    own = project({"compose.yaml": text, ".env": "HF_TOKEN=own\n"}, environment=SECRET)
    assert own.models["llm"].model == "p/own"


def test_a_secret_in_what_concerns_compose_alone_is_ordinary() -> None:
    text = "services: {app: {image: 'x:${HF_TOKEN}', environment: {T: '$HF_TOKEN'}, models: [llm]}}\n" + LLM
    found = project(text, environment=SECRET)
    assert "hf_canary" not in repr(found)
    assert found.models.keys() == {"llm"}


@pytest.mark.parametrize(
    "texts",
    [
        {"compose.yaml": f"services: {{app: {{image: x, networks: ['${{HF_TOKEN}}'], models: [llm]}}}}\n{LLM}"},
        {"compose.yaml": f"services: {{app: {{image: x, links: ['$HF_TOKEN'], models: [llm]}}}}\n{LLM}"},
        {"compose.yaml": f"services: {{app: {{image: x, cap_add: [$HF_TOKEN, $HF_TOKEN], models: [llm]}}}}\n{LLM}"},
        {"compose.yaml": f"services: {{app: {{image: '${{LOST?$HF_TOKEN}}', models: [llm]}}}}\n{LLM}"},
        {"compose.yaml": APP + LLM, ".env": "A=${LOST?$HF_TOKEN}\n"},
        {"compose.yaml": APP + LLM, ".env": "COMPOSE_FILE=${HF_TOKEN}\n"},
        {"compose.yaml": APP + LLM, ".env": "COMPOSE_PROJECT_NAME=A${HF_TOKEN}\n"},
        {"compose.yaml": APP + LLM, ".env": "COMPOSE_PROFILES=${HF_TOKEN}\n"},
        {"compose.yaml": APP + LLM, ".env": "COMPOSE_DISABLE_ENV_FILE=${HF_TOKEN}\n"},
        {"compose.yaml": APP + LLM, ".env": "COMPOSE_PATH_SEPARATOR=$HF_TOKEN\nCOMPOSE_FILE=lost.yaml\n"},
        {"compose.yaml": APP + LLM, ".env": "COMPOSE_DISABLE_ENV_FILE=${LOST-$DATABASE}\n"},
    ],
)
def test_no_error_quotes_a_secret_of_the_process(texts: dict[str, str | bytes]) -> None:
    """Whoever opens a pull request writes the file, and reads what CI prints; two of these even ended in a traceback."""
    environment = {**SECRET, "DATABASE": "postgres://me:hf_canary@host/db"}
    assert "hf_canary" not in refusal(texts, environment=environment)


def test_a_password_in_an_address_makes_a_variable_secret() -> None:
    environment = {"MIRROR": "https://me:hf_canary@host", "PLAIN": "https://host/x"}
    assert "--allow-variable MIRROR" in refusal(model("{model: '$MIRROR'}"), environment=environment)
    assert project(model("{model: '$PLAIN'}"), environment=environment).models["llm"].model == "https://host/x"


PROVIDER = "services:\n  ai-runner:\n    provider: {type: model, options: %s}\n    x-cloud-options: [cloud.region=eu]\n  app: {image: x, depends_on: [ai-runner]}\n"


def test_a_legacy_provider_service_is_a_model_of_its_name() -> None:
    found = project(PROVIDER % "{model: ai/smollm2, context-size: 4096, runtime-flags: '--a \"b c\"', backend: x}")
    llm = found.models["ai-runner"]
    assert (llm.model, llm.context_size, llm.runtime_flags) == ("ai/smollm2", 4096, ("--a", "b c"))
    assert options(llm) == {"cloud.region": "eu"}
    (binding,) = found.services["app"].bindings
    assert (binding.endpoint_var, binding.model_var) == ("AI-RUNNER_URL", "AI-RUNNER_MODEL")
    assert found.providers == {"ai-runner"}
    assert any("deprecated" in warning for warning in found.warnings)
    assert any("backend: has no effect" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("{}", "which model is it"),
        ("{model: [a, b]}", "cannot share one URL"),
        ("{model: a, context-size: many}", "must be a positive integer"),
        ("{model: a, runtime-flags: '\"open'}", "cannot be split into flags"),
    ],
)
def test_a_wrong_provider_service_is_refused(written: str, reason: str) -> None:
    assert reason in refusal(PROVIDER % written)


def test_a_missing_file_is_a_source_error() -> None:
    for texts, request in (({}, {}), ({"a.yaml": ""}, {"files": ("b.yaml",)}), ({"x": ""}, {"files": ("-",)})):
        with pytest.raises(SourceError):
            project(texts, **request)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            APP + "models: {lmm: {model: a}}\n",
            "compose.yaml:4:14: services.app.models: the model 'llm' is not defined (did you mean 'lmm'?)",
        ),
        (model("{modle: a}"), "compose.yaml:6:9: models.llm.modle: a model has no 'modle' (did you mean 'model'?)"),
        (model("{context_size: 5}"), "compose.yaml:6:3: models.llm: `model` is missing"),
        (
            model("{model: a, context_size: '${N}'}"),
            "models.llm.context_size: must be an integer, not a string; Compose does not take a variable",
        ),
        (model("{model: '${N'}"), "compose.yaml:6:16: models.llm.model: invalid interpolation format"),
        (model("{model: '${N?which one}'}"), "required variable N is missing a value: which one"),
    ],
)
def test_errors_say_where_and_what_to_do(text: str, said: str) -> None:
    assert said in refusal(text)


def test_a_thousand_models_load_in_a_quarter_of_a_second() -> None:
    uses = "".join(f"      m{n}: {{endpoint_var: M{n}}}\n" for n in range(1_000))
    body = "    model: ai/smollm2\n    context_size: 4096\n    x-cloud-options:\n      - cloud.instance-type=gpu-small\n      - cloud.region=us-west-2\n"
    text = f"services:\n  app:\n    image: x\n    models:\n{uses}models:\n" + "".join(
        f"  m{n}:\n{body}" for n in range(1_000)
    )
    assert min(seconds(text) for _ in range(5)) < 0.25


def seconds(text: str) -> float:
    begin = time.process_time()
    found: Project = project(text)
    assert len(found.models) == 1_000
    return time.process_time() - begin
