"""What services are given, and how their network changes it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.base import Auth, Endpoint
from reconciler.errors import InputError
from reconciler.render.environments import ServiceEnvironment, service_environments
from reconciler.render.text import env_body, key_body, override_body
from tests.builders import binding, endpoint, keyed_endpoint, place, project, service

LOCAL = endpoint("http://172.17.0.1:8080/v1/")
LOOPBACK = endpoint("http://127.0.0.1:8080/v1/")
REMOTE = endpoint("https://runtime.us-west-2.example.com/openai/v1/", on_this_host=False)
THROUGH_GATEWAY = "http://host.docker.internal:8080/v1/"


def only(*services: object, **endpoints: Endpoint) -> ServiceEnvironment:
    """The environment of the first service of a project of these services."""
    environments = service_environments(project(*services), endpoints)  # type: ignore[arg-type]
    return next(one for one in environments if one.name == services[0].name)  # type: ignore[attr-defined]


@pytest.mark.parametrize("mode", [None, "bridge", "backend"])
def test_bridge_service_reaches_this_host_through_the_gateway_name(mode: str | None) -> None:
    environment = only(service("app", "llm", network_mode=mode), llm=LOCAL)
    assert environment.variables == {"LLM_MODEL": "ai/smollm2", "LLM_URL": THROUGH_GATEWAY}
    assert environment.needs_host_gateway
    assert environment.cautions == ()


def test_host_network_gets_the_address_itself() -> None:
    environment = only(service("app", "llm", network_mode="host"), llm=LOOPBACK)
    assert environment.variables["LLM_URL"] == LOOPBACK.url
    assert not environment.needs_host_gateway
    assert environment.cautions == ()


def test_host_network_asks_a_server_that_listens_everywhere_over_loopback() -> None:
    everywhere = endpoint("http://0.0.0.0:8080/v1/")
    assert only(service("app", "llm", network_mode="host"), llm=everywhere).variables["LLM_URL"] == LOOPBACK.url
    assert only(service("app", "llm"), llm=everywhere).variables["LLM_URL"] == THROUGH_GATEWAY
    assert (
        only(service("app", "llm"), llm=endpoint("http://[::]:1/v1/")).host_variables["LLM_URL"] == "http://[::1]:1/v1/"
    )


@pytest.mark.parametrize("mode", ["service:other", "container:abc"])
def test_shared_network_gets_the_address_and_no_extra_hosts(mode: str) -> None:
    environment = only(service("app", "llm", network_mode=mode), service("other"), llm=LOCAL)
    assert environment.variables["LLM_URL"] == LOCAL.url
    assert not environment.needs_host_gateway


def test_shared_network_of_a_host_service_may_use_loopback() -> None:
    chain = (
        service("app", "llm", network_mode="service:b"),
        service("b", network_mode="service:c"),
        service("c", network_mode="host"),
    )
    environment = only(*chain, llm=LOOPBACK)
    assert (environment.variables["LLM_URL"], environment.cautions) == (LOOPBACK.url, ())


def test_shared_network_cannot_use_an_address_that_means_itself() -> None:
    environment = only(service("app", "llm", network_mode="container:x"), llm=endpoint("http://0.0.0.0:8080/v1/"))
    assert "leads a container to itself" in environment.cautions[0].text


def test_circle_of_shared_networks_ends() -> None:
    pair = service("a", "llm", network_mode="service:b"), service("b", network_mode="service:a")
    assert only(*pair, llm=LOCAL).variables["LLM_URL"] == LOCAL.url


def test_no_network_is_written_with_a_caution() -> None:
    environment = only(service("app", "llm", network_mode="none"), llm=REMOTE)
    assert environment.variables["LLM_URL"] == REMOTE.url
    assert [str(one) for one in environment.cautions] == [
        "compose.yaml:4:7: services.app.models.llm: the model's endpoint cannot be reached: "
        "the service has `network_mode: none`"
    ]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "[::1]"])
def test_loopback_server_is_written_for_a_bridge_with_a_caution(host: str) -> None:
    environment = only(service("app", "llm"), llm=endpoint(f"http://{host}:8080/v1/"))
    assert environment.variables["LLM_URL"] == THROUGH_GATEWAY
    assert "which a container cannot reach" in environment.cautions[0].text


def test_endpoint_elsewhere_is_written_as_it_is() -> None:
    environment = only(service("app", "llm"), llm=REMOTE)
    assert environment.variables["LLM_URL"] == REMOTE.url
    assert not environment.needs_host_gateway


def test_service_with_its_own_entry_for_the_host_gets_no_second_one() -> None:
    own = service("app", "llm", extra_hosts=frozenset({"host.docker.internal"}))
    environment = only(own, llm=LOCAL)
    assert environment.variables["LLM_URL"] == THROUGH_GATEWAY
    assert not environment.needs_host_gateway


def test_process_on_this_host_gets_the_address_that_holds_there() -> None:
    assert env_body(only(service("app", "llm"), llm=LOCAL)) == (
        "LLM_MODEL=ai/smollm2\nLLM_URL=http://172.17.0.1:8080/v1/\n"
    )


def test_model_without_endpoint_is_missing_and_sets_nothing() -> None:
    environment = only(service("app", "llm", "other"), other=LOCAL)
    assert environment.missing == ("llm",)
    assert list(environment.variables) == ["OTHER_MODEL", "OTHER_URL"]


def test_inactive_services_are_given_values_too_and_unbound_ones_nothing() -> None:
    parts = project(service("z", "llm"), service("off", "llm", active=False), service("db"))
    names = [(one.name, one.active) for one in service_environments(parts, {"llm": LOCAL})]
    assert names == [("off", False), ("z", True)]


def test_url_wins_where_both_names_are_the_same() -> None:
    both = service("app", binding("llm", endpoint_var="X", model_var="X"))
    assert only(both, llm=REMOTE).variables == {"X": REMOTE.url}


def test_dots_stay_in_variable_names() -> None:
    assert "MY.MODEL_X_URL" in only(service("app", "my.model-x"), **{"my.model-x": LOCAL}).variables


def test_key_goes_by_file_and_only_where_the_endpoint_wants_one() -> None:
    parts = project(service("app", "my-llm", "open"))
    endpoints = {"my-llm": keyed_endpoint(key_file="/k/1"), "open": LOCAL}
    assert service_environments(parts, endpoints)[0].key_variables == {"MY_LLM_API_KEY": "/k/1"}
    named = service_environments(parts, endpoints, {"my-llm": "OPENAI_API_KEY"})
    assert named[0].key_variables == {"OPENAI_API_KEY": "/k/1"}


def test_platform_tokens_are_cautioned_about() -> None:
    environment = only(service("app", "llm"), llm=replace(REMOTE, auth=Auth.PLATFORM))
    assert "only the gateway" in environment.cautions[0].text
    assert environment.key_variables == {}


@pytest.mark.parametrize("other", ["my_m", "my.m"])
def test_two_models_never_share_a_variable(other: str) -> None:
    clash = service("app", "my-m", binding(other, endpoint_var="MY_M_URL", location=place(9, 5)))
    with pytest.raises(InputError, match=r"^compose.yaml:9:5: services.app.models.my.m: the variable MY_M_URL is alr"):
        only(clash)


@pytest.mark.parametrize(
    "name",
    ["PATH", "LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "PYTHONPATH", "NODE_OPTIONS", "BASH_ENV", "DOCKER_HOST", "Path"],
)
def test_variables_that_steer_programs_are_refused_before_the_model_is_ready(name: str) -> None:
    with pytest.raises(
        InputError, match=r"^compose.yaml:4:7: services.app.models.llm: the variable .* steers programs"
    ):
        only(service("app", binding("llm", model_var=name)))
    with pytest.raises(InputError, match="steers programs"):
        service_environments(project(service("app", "llm")), {}, {"llm": name})


def test_key_of_a_model_cannot_open_the_way_to_a_reserved_variable() -> None:
    with pytest.raises(InputError):
        only(service("app", binding("ld", endpoint_var="LD_PRELOAD")))


@pytest.mark.parametrize("key", ["python-coder", "docker", "ld"])
def test_the_names_compose_makes_from_a_key_are_always_allowed(key: str) -> None:
    assert len(only(service("app", key), **{key: LOCAL}).variables) == 2


@pytest.mark.parametrize("name", ["A=B", "A\nB", "", "A B", "ä", "-A", "A\0"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is not a name for a variable"):
        only(service("app", binding("llm", endpoint_var=name)))


@pytest.mark.parametrize(
    "url",
    [
        "http://x/v1/\nLD_PRELOAD=/tmp/e.so",
        "http://x/v1/\u2028",
        'http://x/"',
        "http://x/'",
        "http://x/$HOME/",
        "http://x/`id`/",
        "http://x/ y",
        "http://u:p@x/v1/",
        "http://x/v1/?a=b",
        "http://x/v1/#a",
        "file:///etc/passwd",
        "http:///v1/",
        "http://x:99999/v1/",
        "http://x:/v1/",
        "http://-x/v1/",
        "javascript:alert(1)",
        "http://x/v1/\x00",
        "http://ex\u0430mple/v1/",
        "",
    ],
)
def test_url_that_could_be_read_as_something_else_is_never_written(url: str) -> None:
    for on_this_host in (True, False):
        with pytest.raises(ValueError, match="may be written into an environment"):
            only(service("app", "llm"), llm=endpoint(url, on_this_host=on_this_host))


@pytest.mark.parametrize(
    "model_id", ["", "a b", "a\nB=c", "a\rb", "a\0", "$HOME", "a'b", 'a"b', "a\\b", "`a`", "a\u2029b"]
)
def test_model_id_that_could_be_read_as_something_else_is_never_written(model_id: str) -> None:
    with pytest.raises(ValueError, match="model id"):
        only(service("app", "llm"), llm=endpoint(model_id=model_id))


def test_model_ids_of_all_platforms_are_fit_to_be_written() -> None:
    ids = (
        "hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M",
        "arn:aws:bedrock:us-west-2:123456789012:inference-profile/us.meta.llama3-1-8b-instruct-v1:0",
        "google/gemma-3@default",
        "ai/modèle",
    )
    for model_id in ids:
        assert only(service("app", "llm"), llm=endpoint(model_id=model_id)).variables["LLM_MODEL"] == model_id


@pytest.mark.parametrize("key", ["a\nB=c", "a\rb", "a\0b"])
def test_env_lines_refuse_line_breaks_without_showing_the_value(key: str) -> None:
    with pytest.raises(ValueError, match="LLM_API_KEY") as refused:
        key_body({"LLM_API_KEY": key})
    assert key not in str(refused.value)


def test_keys_are_written_raw() -> None:
    assert key_body({"B": 'x$y"z', "A": "s p#1"}) == 'A=s p#1\nB=x$y"z\n'


def test_override_is_the_same_whatever_the_order() -> None:
    forth = [only(service(name, "llm", "emb"), llm=LOCAL, emb=REMOTE) for name in ("a", "b")]
    back = [only(service(name, "emb", "llm"), emb=REMOTE, llm=LOCAL) for name in ("b", "a")]
    assert override_body(forth, lambda name: None) == override_body(back, lambda name: None)


def test_override_reads_well() -> None:
    keyed = only(service("app", "llm", "soon"), llm=keyed_endpoint())
    assert override_body([keyed], lambda name: f"/run/{name}.env", ["ai-runner"]) == (
        "services:\n"
        "  # soon is not ready: its variables come with it\n"
        "  app:\n"
        "    models: !reset null\n"
        "    environment:\n"
        '      LLM_MODEL: "ai/smollm2"\n'
        '      LLM_URL: "http://host.docker.internal:8080/v1/"\n'
        "    env_file:\n"
        '      - path: "/run/app.env"\n'
        "        format: raw\n"
        "        required: true\n"
        "    extra_hosts:\n"
        '      - "host.docker.internal:host-gateway"\n'
        '  "ai-runner": !reset null\n'
        "models: !reset null\n"
    )


def test_hostile_key_of_a_model_stays_in_its_comment() -> None:
    environment = replace(only(service("app", "llm")), missing=("a\nservices: {}", "b\u2028c"))
    comments = [line for line in override_body([environment], lambda name: None).splitlines() if "not ready" in line]
    assert all(line.startswith("  # ") for line in comments)
    assert len(comments) == 2
