"""How a container's environment becomes the arguments of a llama-server, by the rules of AWS's own containers.

`SM_LLAMA_CPP_FOO_BAR=v` is `--foo-bar v`, `true` a bare flag, `false` nothing; vLLM's container has the same rule with
`SM_VLLM_`. The weights are not what the model names but the small ones at hand, and a vLLM is a llama-server too: what
is the same with both is translated, the rest of vLLM's flags is known and has no effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from infra.localaws.containers import Container

LLAMA, VLLM = "SM_LLAMA_CPP_", "SM_VLLM_"
WEIGHTS = frozenset({"model", "model-url", "hf-repo", "hf-file", "docker-repo"})
"""Flags that say where the weights are; one of them must be there, and none of them reaches the server."""
OURS = frozenset({"host", "port"})
"""The container listens where its platform says, whatever the model says."""

VLLM_AS_LLAMA = {"max-model-len": "ctx-size", "served-model-name": "alias", "api-key": "api-key"}
VLLM_WITHOUT_EFFECT = frozenset(
    {
        "block-size",
        "chat-template",
        "data-parallel-size",
        "disable-log-requests",
        "download-dir",
        "dtype",
        "enable-auto-tool-choice",
        "enable-chunked-prefill",
        "enable-expert-parallel",
        "enable-lora",
        "enable-prefix-caching",
        "enforce-eager",
        "generation-config",
        "gpu-memory-utilization",
        "kv-cache-dtype",
        "limit-mm-per-prompt",
        "load-format",
        "max-num-batched-tokens",
        "max-num-seqs",
        "pipeline-parallel-size",
        "quantization",
        "reasoning-parser",
        "revision",
        "seed",
        "swap-space",
        "task",
        "tensor-parallel-size",
        "tokenizer",
        "tool-call-parser",
        "trust-remote-code",
    }
)


class BadContainer(Exception):
    """The container would end at once, with this as its last words."""


def arguments(container: Container, weights: str) -> tuple[str, ...]:
    """The arguments of a llama-server on these weights, without host and port. Raises BadContainer."""
    is_vllm = "vllm" in container.image
    flags = dict(_flags(container.environment, VLLM if is_vllm else LLAMA))
    if not (container.has_weights or WEIGHTS.intersection(flags) or "HF_MODEL_ID" in container.environment):
        raise BadContainer("error: no model was given: neither in the environment nor in /opt/ml/model")
    kept = {name: value for name, value in flags.items() if name not in WEIGHTS | OURS}
    given = _translated(kept) if is_vllm else kept
    key = container.environment.get("LLAMA_API_KEY")
    words = [word for name, value in given.items() for word in _words(name, value)]
    return ("--model", weights, *words, *(("--api-key", key) if key else ()))


def _flags(environment: Mapping[str, str], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in environment.items():
        if name.startswith(prefix):
            yield name.removeprefix(prefix).lower().replace("_", "-"), value


def _translated(flags: Mapping[str, str]) -> dict[str, str]:
    unknown = sorted(flags.keys() - VLLM_AS_LLAMA.keys() - VLLM_WITHOUT_EFFECT)
    if unknown:
        raise BadContainer(f"api_server.py: error: unrecognized arguments: {' '.join('--' + name for name in unknown)}")
    return {VLLM_AS_LLAMA[name]: value for name, value in flags.items() if name in VLLM_AS_LLAMA}


def _words(name: str, value: str) -> tuple[str, ...]:
    if value.lower() == "false":
        return ()
    return (f"--{name}",) if value.lower() == "true" else (f"--{name}", value)
