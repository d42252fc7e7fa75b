"""What a container's environment means to the server in it, by the rules of AWS's containers."""

from __future__ import annotations

import pytest

from infra.localaws.containers import Container
from infra.localaws.engines import BadContainer, arguments

LLAMA = "763104351884.dkr.ecr.us-east-1.amazonaws.com/llama-cpp:server-sagemaker-cuda-v1"
VLLM = "763104351884.dkr.ecr.us-east-1.amazonaws.com/vllm:server-sagemaker-cuda-v2"


def test_variables_are_flags_and_weights_are_ours() -> None:
    environment = {
        "SM_LLAMA_CPP_DOCKER_REPO": "ai/smollm2",
        "SM_LLAMA_CPP_CTX_SIZE": "4096",
        "SM_LLAMA_CPP_JINJA": "true",
        "SM_LLAMA_CPP_CACHE_PROMPT": "false",
        "SM_LLAMA_CPP_PORT": "9999",
        "SOMETHING_ELSE": "1",
    }
    assert arguments(Container(LLAMA, environment), "/w.gguf") == (
        "--model",
        "/w.gguf",
        "--ctx-size",
        "4096",
        "--jinja",
    )


@pytest.mark.parametrize("name", ["SM_LLAMA_CPP_HF_REPO", "SM_LLAMA_CPP_MODEL", "HF_MODEL_ID"])
def test_weights_have_many_names(name: str) -> None:
    assert arguments(Container(LLAMA, {name: "x"}), "/w.gguf") == ("--model", "/w.gguf")


def test_weights_may_lie_in_the_container() -> None:
    assert arguments(Container(LLAMA, {}, has_weights=True), "/w.gguf") == ("--model", "/w.gguf")


def test_container_without_weights_ends() -> None:
    with pytest.raises(BadContainer, match="no model was given"):
        arguments(Container(LLAMA, {"SM_LLAMA_CPP_CTX_SIZE": "4096"}), "/w.gguf")


def test_flags_of_vllm_become_those_of_llama_server_or_nothing() -> None:
    environment = {
        "SM_VLLM_MODEL": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "SM_VLLM_MAX_MODEL_LEN": "2048",
        "SM_VLLM_SERVED_MODEL_NAME": "llm",
        "SM_VLLM_ENFORCE_EAGER": "true",
    }
    said = arguments(Container(VLLM, environment), "/w.gguf")
    assert said == ("--model", "/w.gguf", "--ctx-size", "2048", "--alias", "llm")


def test_flag_that_vllm_does_not_have_ends_it() -> None:
    with pytest.raises(BadContainer, match="unrecognized arguments: --ctx-size"):
        arguments(Container(VLLM, {"HF_MODEL_ID": "x", "SM_VLLM_CTX_SIZE": "1"}), "/w.gguf")


def test_key_is_handed_on() -> None:
    environment = {"SM_LLAMA_CPP_HF_REPO": "x", "LLAMA_API_KEY": "k"}
    assert arguments(Container(LLAMA, environment), "/w.gguf")[-2:] == ("--api-key", "k")
