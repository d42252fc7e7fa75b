"""What model a reference means, and that nothing else is served in its place without being asked."""

from __future__ import annotations

import pytest

from drivers import catalog
from drivers.identity import Candidate, Identity, Match, accepted, candidates, identify, refusal
from drivers.modelstore.reference import parse_reference

MODELS = catalog.models()["models"]


def identity(reference: str) -> Identity:
    return identify(parse_reference(reference), MODELS)


def offers(reference: str, platform: str, **given: str) -> tuple[Candidate, ...]:
    return candidates(identity(reference), platform, MODELS, reference=reference, **given)


def served(reference: str, platform: str, substitute: str = "never") -> str | None:
    good = accepted(offers(reference, platform), identity(reference), substitute)
    return good[0].model_id if good else None


@pytest.mark.parametrize(
    "written", ["ai/smollm2", "smollm2", "docker.io/AI/SmolLM2:latest", "index.docker.io/ai/smollm2"]
)
def test_all_spellings_of_a_model_are_one_identity(written: str) -> None:
    assert identity(written) == identity("ai/smollm2")
    assert str(identity(written)) == "ai/smollm2 (135M Q4_K_M)"


def test_the_tag_decides_size_and_quantization() -> None:
    one = identity("ai/llama3.2:1B-Q4_0")
    assert (one.size, one.quantization, one.hf) == ("1B", "Q4_0", "meta-llama/Llama-3.2-1B-Instruct")
    assert one.download == "", "the card's size is that of the default tag"
    assert identity("ai/qwen3-embedding:0.6B-F16").dim == 1024
    assert identity("ai/qwen3-coder").size == "30B-A3B"


def test_a_digest_says_neither_size_nor_quantization() -> None:
    pinned = identity("ai/llama3.2@sha256:" + "0" * 64)
    assert (pinned.known, pinned.size, pinned.task) == (True, "", "chat")
    assert served("ai/llama3.2@sha256:" + "0" * 64, "aws-bedrock") is None


@pytest.mark.parametrize(
    "written", ["ai/unheard-of", "registry.example/ai/smollm2", "hf.co/Some/Thing:q4_0", "file:/x.gguf"]
)
def test_an_unknown_model_is_no_error(written: str) -> None:
    unknown = identity(written)
    assert not unknown.known
    assert served(written, "llamacpp") == written
    assert served(written, "aws-bedrock") is None
    assert "cloud.model-id" in refusal(unknown, "aws-bedrock", ())


def test_an_embedding_model_without_a_card_is_known_by_its_weights() -> None:
    minilm = identity("ai/all-minilm")
    assert (minilm.known, minilm.task, minilm.dim, minilm.size) == (True, "embedding", 384, "")
    assert minilm.hf == "sentence-transformers/all-MiniLM-L6-v2"


def test_an_upstream_repository_is_recognised() -> None:
    assert identity("hf.co/Qwen/Qwen3-8B").family == "qwen3"
    assert identity("hf.co/meta-llama/llama-3.1-8b-instruct:Q4_K_M").quantization == "Q4_K_M"
    assert served("hf.co/meta-llama/Llama-3.1-8B-Instruct", "aws-bedrock") == "meta.llama3-1-8b-instruct-v1:0"


@pytest.mark.parametrize("platform", ["llamacpp", "docker-model-runner", "aws-sagemaker", "aws-ec2", "gcp-gce"])
def test_where_ones_own_weights_run_the_artifact_itself_is_served(platform: str) -> None:
    assert served("ai/smollm2", platform) == "ai/smollm2"
    assert served("ai/all-minilm", platform) == "ai/all-minilm"
    assert offers("ai/smollm2", platform)[0].match is Match.EXACT
    assert offers("ai/smollm2", platform)[1] == Candidate(
        "huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct", Match.SAME_WEIGHTS, "as published"
    )


def test_the_same_weights_are_accepted_and_the_plan_says_which() -> None:
    (best, *_) = offers("ai/llama3.2", "aws-bedrock")
    assert best.line(identity("ai/llama3.2")) == (
        "ai/llama3.2 (3B Q4_K_M) → meta.llama3-2-3b-instruct-v1:0 [same weights, bf16, ctx 128K]"
    )
    assert served("ai/llama3.2:1B-Q8_0", "aws-bedrock") == "meta.llama3-2-1b-instruct-v1:0"
    assert served("ai/gpt-oss", "aws-bedrock") == "openai.gpt-oss-20b-1:0"


@pytest.mark.parametrize(
    "written", ["ai/smollm2", "ai/phi4", "ai/gemma3", "ai/mistral", "ai/deepseek-r1-distill-llama"]
)
def test_another_model_is_never_served_in_its_place(written: str) -> None:
    assert served(written, "aws-bedrock") is None


def test_substitution_has_to_be_asked_for() -> None:
    text = refusal(identity("ai/mistral"), "aws-bedrock", offers("ai/mistral", "aws-bedrock"))
    assert "'cloud.substitute=family' would take mistral.mistral-7b-instruct-v0:2 (v0.2, not v0.3)" in text
    assert served("ai/mistral", "aws-bedrock", "family") == "mistral.mistral-7b-instruct-v0:2"
    assert served("ai/mistral", "aws-bedrock", "any") == "mistral.mistral-7b-instruct-v0:2"
    assert served("ai/llama3.2", "aws-bedrock", "family") == "meta.llama3-2-3b-instruct-v1:0", "the nearest first"


def test_an_embedding_model_is_never_substituted() -> None:
    minilm = identity("ai/all-minilm")
    others = (Candidate("amazon.titan-embed", Match.FAMILY), Candidate("same", Match.SAME_WEIGHTS))
    for substitute in ("never", "family", "any"):
        assert accepted(others, minilm, substitute) == ()
    assert "stored indexes" in refusal(minilm, "aws-bedrock", ())


def test_serving_chooses_between_the_platforms_two_ways() -> None:
    assert served("ai/llama3.3", "gcp-vertex") == "ai/llama3.3"
    managed = offers("ai/llama3.3", "gcp-vertex", serving="managed")
    assert [one.model_id for one in managed] == ["llama-3.3-70b-instruct-maas"]
    assert all(one.match is not Match.EXACT for one in managed)
    assert not any("maas" in one.model_id for one in offers("ai/llama3.3", "gcp-vertex", serving="dedicated"))


def test_an_engine_that_cannot_read_the_artifact_gets_the_original_weights() -> None:
    for engine in ("vllm", "sglang"):
        (only,) = offers("ai/smollm2", "aws-sagemaker", engine=engine)
        assert only.model_id == "huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct"
        assert only.match is Match.SAME_WEIGHTS
    assert offers("hf.co/Some/Thing", "aws-sagemaker", engine="vllm")[0].model_id == "hf.co/Some/Thing"
    assert offers("ai/unheard-of", "aws-sagemaker", engine="vllm") == ()


def test_a_refusal_names_the_word_that_would_widen_it() -> None:
    other = Candidate("big-model", Match.OTHER, "nothing alike")
    assert "'cloud.substitute=any' would take big-model (nothing alike)" in refusal(identity("ai/phi4"), "x", (other,))


def test_a_users_map_adds_a_model() -> None:
    users = {"models": {"me/chat": {"family": "chat", "task": "chat", "tag": "7B-Q4_K_M", "licence": "mine"}}}
    mine = identify(parse_reference("me/chat"), catalog.merge(catalog.models(), users)["models"])
    assert (mine.known, mine.size, mine.licence) == (True, "7B", "mine")
