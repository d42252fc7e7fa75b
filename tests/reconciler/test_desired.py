"""A project → what is desired. One bad model hurts only itself, and the digest is over what the user wrote."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drivers import catalog
from drivers.base import Finding, Handling, ModelSpec
from reconciler import lookup
from reconciler.compose.project import Model, Project
from reconciler.desired import Desired, DesiredModel, DesiredSettings, desired
from tests.builders import model, place, project, raw_option, service

SEED = {"cloud.instance-type": "gpu-small", "cloud.region": "us-west-2"}


def wanted(*models: Model, defaults: dict[str, str] | None = None) -> Project:
    raw = tuple(raw_option(key, text, place(3, 5)) for key, text in (defaults or {}).items())
    return project(service("app", *(one.key for one in models)), *models, defaults=raw)


def judge(*models: Model, defaults: dict[str, str] | None = None, **settings: object) -> Desired:
    return desired(wanted(*models, defaults=defaults), DesiredSettings(**settings))  # type: ignore[arg-type]


def only(one: Model, defaults: dict[str, str] | None = None, **settings: object) -> DesiredModel:
    return judge(one, defaults=defaults, **settings).judged[one.key]


def problems(one: Model, **given: object) -> list[str]:
    return [str(problem) for problem in judge(one, **given).problems]  # type: ignore[arg-type]


def test_the_documentations_own_example() -> None:
    seed = only(model(options=SEED))
    assert (seed.driver, seed.instance_types[0]) == ("aws-sagemaker", "ml.g6.xlarge")
    assert "; ".join(seed.resolution) == (
        "region shape us-west-2 → aws; project default → aws-sagemaker; gpu-small → ml.g6.xlarge"
    )
    assert [finding.key for finding in seed.findings] == ["model", *SEED]
    assert not seed.problems


def test_a_model_without_options_runs_here_as_it_is() -> None:
    plain = only(model())
    assert (plain.driver, plain.instance_types, plain.registry) == ("llamacpp", (), "docker.io")
    assert plain.spec == ModelSpec(model="ai/smollm2")
    assert plain.identity is not None
    assert plain.identity.family == "smollm2"


def test_the_spec_is_what_was_written_and_nothing_of_ours() -> None:
    one = only(
        model(options={"cloud.replicas": " 2 "}, context_size=4096, runtime_flags=("--seed", "7")),
        defaults={"cloud.ttl": "2h", "cloud.replicas": "1"},
        options={"cloud.protect": "true"},
        default_platform="llamacpp",
    )
    assert one.spec == ModelSpec(
        model="ai/smollm2",
        context_size=4096,
        runtime_flags=("--seed", "7"),
        options={"cloud.replicas": "2", "cloud.ttl": "2h"},
    )
    assert one.protected, "the tool's own options count, without changing the digest"
    assert (
        one.spec.digest
        == only(
            model(options={"cloud.ttl": "2h", "cloud.replicas": "2"}, context_size=4096, runtime_flags=("--seed", "7"))
        ).spec.digest
    )


def test_one_bad_model_hurts_only_itself() -> None:
    found = judge(model("good"), model("bad", options={"cloud.regoin": "us-west-2"}), model("fine", "ai/qwen3"))
    assert list(found.judged) == ["good", "bad", "fine"]
    assert list(found.models) == ["good", "fine"]
    assert found.refused == {"bad": "unknown option 'cloud.regoin' (did you mean 'cloud.region'?)"}
    assert [str(problem) for problem in found.problems] == [
        "compose.yaml:20:9: models.bad: unknown option 'cloud.regoin' (did you mean 'cloud.region'?)"
    ]


def test_a_model_with_several_mistakes_says_how_many() -> None:
    bad = only(model(options={"cloud.regoin": "x", "cloud.spot": "maybe"}))
    assert len(bad.problems) == 2
    assert bad.refused.endswith("(and 1 more)")


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (model(reference="http://evil.example/x"), "compose.yaml:10:3: models.llm: model reference"),
        (model(options={"cloud.region": "westeurope"}), "compose.yaml:20:9: models.llm: option 'cloud.region'"),
        (
            model(options={"cloud.platform": "llamacpp", "cloud.zones": "a"}),
            "compose.yaml:21:9: models.llm: option 'cloud.zones': llamacpp cannot do this",
        ),
        (model(options={"cloud.platform": "aws-bedrock"}), "compose.yaml:20:9: models.llm: ai/smollm2 (135M Q4_K_M)"),
        (
            model(options=SEED | {"cloud.accelerator": "H100"}),
            "compose.yaml:22:9: models.llm: option 'cloud.accelerator=H100' contradicts",
        ),
        (model(options={"cloud.visibility": "public"}), "compose.yaml:20:9: models.llm: option 'cloud.visibility"),
        (model(runtime_flags=("--seed=1", "--a-flag")), "compose.yaml:31:9: models.llm: runtime_flags[1] '--a-flag'"),
        (
            model(options=SEED, runtime_flags=("--a-flag",)),
            "compose.yaml:30:9: models.llm: runtime_flags[0] '--a-flag': refused by the rule",
        ),
    ],
)
def test_every_mistake_has_its_place(one: Model, message: str) -> None:
    found = judge(one)
    assert [str(problem)[: len(message)] for problem in found.problems] == [message]
    assert list(found.refused) == ["llm"]


@pytest.mark.parametrize(
    "reference", ["file:/srv/a b.gguf", "file:/srv/a;id.gguf", "file:/srv/$HOME.gguf", " ai/x", "ai/x "]
)
def test_a_model_whose_name_no_environment_can_take_hurts_only_itself(reference: str) -> None:
    """Accepted here, it stopped the values of all models once it was ready: writing them raised in every pass."""
    found = judge(model("bad", reference), model("good"))
    assert list(found.models) == ["good"]
    assert "is handed to services in a variable" in found.refused["bad"]


def test_a_mistake_in_the_projects_defaults_is_reported_once_and_stops_every_model() -> None:
    found = judge(model("a"), model("b"), defaults={"cloud.spot": "perhaps"})
    assert [str(problem) for problem in found.problems] == [
        "compose.yaml:3:5: x-cloud-options: option 'cloud.spot': 'perhaps' is not one of never, prefer, require"
    ]
    assert list(found.refused) == ["a", "b"]


def test_mistakes_in_the_tools_settings_name_their_file() -> None:
    assert problems(model(), options={"cloud.spot": "prefer"}, options_file="reconciler.yaml") == [
        "reconciler.yaml:1:1: options: option 'cloud.spot' belongs into the Compose file: a driver reads it there"
    ]
    (text,) = problems(model(), default_platform="azure")
    assert "there is no platform 'azure'" in text


def test_the_projects_defaults_place_a_model_and_its_own_options_win() -> None:
    found = judge(
        model("here", options={"cloud.platform": "llamacpp"}), model("there"), defaults={"cloud.region": "us-central1"}
    )
    assert {key: one.driver for key, one in found.models.items()} == {"here": "llamacpp", "there": "gcp-vertex"}


def test_a_switch_of_platforms_is_one_line_with_all_tuning_kept() -> None:
    tuning = SEED | {"llamacpp.threads": "4", "aws.inference-ami-version": "al2023", "gcp.boot-disk": "ssd"}
    here = only(model(options=tuning | {"cloud.platform": "llamacpp"}))
    there = only(model(options=tuning | {"cloud.platform": "aws-sagemaker"}))
    assert not here.problems
    assert not there.problems
    handling = {finding.key: finding.handling for finding in here.findings}
    assert handling["aws.inference-ami-version"] is Handling.INACTIVE
    assert handling["cloud.region"] is Handling.IGNORED
    assert {finding.key: finding.handling for finding in there.findings}["llamacpp.threads"] is Handling.INACTIVE


def test_a_stand_in_with_the_right_accelerator_is_taken_and_shown() -> None:
    one = only(model(options=SEED | {"cloud.accelerator": "A10G"}))
    assert one.instance_types == ("ml.g5.xlarge",)
    assert one.resolution[-1] == "cloud.accelerator=A10G → ml.g5.xlarge"


def test_the_same_weights_on_a_managed_platform_are_shown() -> None:
    one = only(model(reference="ai/llama3.2", options={"cloud.platform": "aws-bedrock"}))
    assert one.resolution[-1].endswith("→ meta.llama3-2-3b-instruct-v1:0 [same weights, bf16, ctx 128K]")


def test_another_engine_is_given_the_original_weights_and_the_plan_says_so() -> None:
    one = only(model(options=SEED | {"cloud.engine": "vllm"}))
    hub = "huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct"
    assert one.resolution[-1] == f"ai/smollm2 (135M Q4_K_M) → {hub} [same weights, as published]"


def test_a_platforms_own_id_overrides_the_mapping() -> None:
    one = only(model(options={"cloud.platform": "aws-bedrock", "cloud.model-id": "amazon.nova-micro-v1:0"}))
    assert not one.problems
    assert one.resolution[-1] == "ai/smollm2 (135M Q4_K_M) → amazon.nova-micro-v1:0 [named by cloud.model-id]"


def test_unknown_options_can_be_allowed_and_are_still_reported() -> None:
    one = only(model(options={"cloud.brand-new": "1"}), allow_unknown_options=True)
    assert not one.problems
    assert one.findings[-1].handling is Handling.IGNORED
    assert "unknown option" in one.findings[-1].detail
    assert one.spec.options == {"cloud.brand-new": "1"}


def test_a_users_sizes_and_models_are_used() -> None:
    one = only(
        model(reference="me/chat", options=SEED),
        sizes={"sizes": {"gpu-small": {"aws-sagemaker": ["ml.g5.2xlarge"]}}},
        models={"models": {"me/chat": {"family": "mine", "task": "chat", "tag": "7B-Q4_K_M"}}},
    )
    assert one.instance_types == ("ml.g5.2xlarge",)
    assert str(one.identity) == "me/chat (7B Q4_K_M)"


def test_a_driver_of_another_package_can_be_named() -> None:
    one = only(model(options={"cloud.platform": "somewhere"}), extra_platforms=lambda: ("somewhere",))
    assert (one.driver, one.problems) == ("somewhere", ())
    assert only(model(), extra_platforms=lambda: ("somewhere",), default_platform="somewhere").driver == "somewhere"
    assert only(model(options={"cloud.platform": "somewhere"})).refused


def test_a_drivers_own_word_comes_before_the_catalogues() -> None:
    def check(spec: ModelSpec, platform: str) -> tuple[Finding, ...] | None:
        wrong = Finding("cloud.auth", Handling.REJECTED, "a key is required here")
        return (wrong,) if platform == "llamacpp" and spec.options.get("cloud.auth") == "none" else None

    bad, fine = model("bad", options={"cloud.auth": "none"}), model("fine", options={"cloud.auth": "api-key"})
    found = judge(bad, fine, check=check)
    assert found.refused == {"bad": "option 'cloud.auth': a key is required here"}
    assert [finding.key for finding in found.models["fine"].findings] == ["model", "cloud.auth"]


def test_the_digest_of_everything_changes_with_anything_that_is_wanted() -> None:
    base = judge(model("a"), model("b"))
    assert base.digest == judge(model("b"), model("a")).digest
    others = (
        judge(model("a")),
        judge(model("a"), model("c")),
        judge(model("a"), model("b", context_size=1)),
        judge(model("a"), model("b", options={"cloud.protect": "true"})),
        judge(model("a"), model("b"), default_platform="docker-model-runner"),
        judge(model("a"), model("b", options={"cloud.nonsense": "1"})),
    )
    digests = {base.digest, *(other.digest for other in others)}
    assert len(digests) == 1 + len(others)


WORDS = st.one_of(
    st.sampled_from(
        ["auto", "true", "2", "1..4", "us-west-2", "us-central1", "gpu-small", "ml.g6.xlarge", "L4:2", "any"]
    ),
    st.sampled_from([*catalog.platforms().platforms, "managed", "family", "public", "15m", "", "\n"]),
    st.text(max_size=20),
)
KEYS = st.one_of(st.sampled_from(sorted(catalog.vocabulary().keys)), st.text(max_size=20), st.just("aws.thing"))


@given(own=st.dictionaries(KEYS, WORDS, max_size=6), defaults=st.dictionaries(KEYS, WORDS, max_size=3))
@example(own={"cloud.platform": "aws-bedrock", "cloud.serving": "dedicated"}, defaults={})
@example(own={"cloud.region": "us-west-2", "cloud.accelerator": "any:1"}, defaults={"cloud.instance-type": "cpu"})
def test_whatever_is_written_is_either_refused_at_its_place_or_accounted_for(
    own: dict[str, str], defaults: dict[str, str]
) -> None:
    one = only(model(options=own), defaults=defaults)
    if one.problems:
        assert all(problem.location.file == "compose.yaml" and problem.message for problem in one.problems)
    else:
        assert one.driver
        assert [finding.key for finding in one.findings] == [
            "model",
            *own,
            *(key for key in defaults if key not in own),
        ]


def test_what_many_models_share_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up per model made thousands of them slow; each distinct question has one answer."""
    asked: list[str] = []
    for name in ("infer_platform", "identify", "offer"):
        real = getattr(lookup, name)
        monkeypatch.setattr(lookup, name, lambda *a, real=real, name=name, **k: (asked.append(name), real(*a, **k))[1])
    many = [model(f"m{n}", options=SEED | {"cloud.tags": f"n:{n}"}, context_size=n + 1) for n in range(50)]
    found = judge(*many, model("other", "ai/qwen3", options={"cloud.region": "us-west-2"}))
    assert len(found.models) == 51
    assert sorted(asked) == sorted(["infer_platform", "identify", "offer"] * 2)
    assert len({one.findings for one in found.models.values()}) == 2
