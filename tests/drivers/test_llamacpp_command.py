"""What a spec means on llama-server's command line, and what this driver says of it beforehand. Nothing is started."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drivers import catalog
from drivers.base import Handling, ModelSpec
from drivers.errors import Rejected
from drivers.llamacpp import command, options
from drivers.llamacpp.settings import LlamaCppSettings
from drivers.modelstore.gguf import GgufHeader
from tests import builders
from tests.drivers.llamas import File

PLACE = command.Place(host="127.0.0.1", port=20001, aliases=("ai/smollm2", "cmr-x"), key_file=Path("/run/key"))
SETTINGS = LlamaCppSettings(run_root=Path("/run/x"))


def file(**given: Any) -> File:
    fields = {"version": 3, "tensor_count": 1, "architecture": "llama", "context_length": 8192}
    own = {name: given.pop(name) for name in ("mmproj", "chat_template", "context_size") if name in given}
    return File(path=Path("/models/m.gguf"), header=GgufHeader(**(fields | given)), **own)


def words(spec: ModelSpec, model: File | None = None, *, offload: bool = False, known: tuple[str, ...] = ()) -> str:
    knows: Callable[[str], bool] = known.__contains__
    return " ".join(command.build(spec, model or file(), PLACE, offload=offload, knows=knows))


def test_the_plain_command_line() -> None:
    assert words(builders.model_spec()) == (
        "--model /models/m.gguf --alias ai/smollm2,cmr-x --host 127.0.0.1 --port 20001 --api-key-file /run/key"
        " --jinja --ctx-size 4096"
    )


@pytest.mark.parametrize(
    ("spec", "model", "context"),
    [
        (builders.model_spec(context_size=1024), file(), 1024),
        (builders.model_spec(), file(context_length=512), 512),
        (builders.model_spec(), file(context_length=None), 4096),
        (builders.model_spec(), file(context_size=16384), 16384),
        (builders.model_spec(context_size=1024, options={"cloud.replicas": "1..4"}), file(), 4096),
        (builders.model_spec(context_size=1024, options={"llamacpp.parallel": "4"}), file(), 1024),
    ],
)
def test_the_context_is_the_files_word_then_the_packagers_then_a_modest_one(
    spec: ModelSpec, model: File, context: int
) -> None:
    assert f"--ctx-size {context}" in words(spec, model)


def test_slots_of_their_own_and_slots_that_share() -> None:
    assert "--parallel 4" in words(builders.model_spec(options={"cloud.replicas": "4"}))
    assert "--parallel 4 --kv-unified" in words(builders.model_spec(options={"llamacpp.parallel": "4"}))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"llamacpp.threads": "4"}, "--threads 4"),
        ({"cloud.cpu": "2..4"}, "--threads 4"),
        ({"llamacpp.cache-type-k": "q8_0"}, "--cache-type-k q8_0"),
        ({"llamacpp.tensor-split": "3, 1"}, "--tensor-split 3,1"),
        ({"llamacpp.flash-attention": "on"}, "--flash-attn on"),
        ({"cloud.idle-timeout": "15m"}, "--sleep-idle-seconds 900"),
        ({"llamacpp.gpu-layers": "20"}, "--gpu-layers 20"),
        ({"llamacpp.gpu-layers": "all"}, "--gpu-layers 9999"),
        ({"llamacpp.mmap": "false"}, "--no-mmap"),
        ({"llamacpp.mlock": "true"}, "--mlock"),
    ],
)
def test_options_become_the_servers_own(given: dict[str, str], expected: str) -> None:
    assert expected in words(builders.model_spec(options=given))


def test_an_idle_timeout_of_off_says_nothing() -> None:
    assert "--sleep" not in words(builders.model_spec(options={"cloud.idle-timeout": "off"}))


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        ({"llamacpp.mmap": "false"}, "none"),
        ({"llamacpp.mlock": "true"}, "mmap+mlock"),
        ({"llamacpp.mmap": "false", "llamacpp.mlock": "true"}, "mlock"),
        ({"llamacpp.mmap": "true"}, "mmap"),
    ],
)
def test_a_newer_server_loads_by_mode(given: dict[str, str], mode: str) -> None:
    assert f"--load-mode {mode}" in words(builders.model_spec(options=given), known=("--load-mode",))


def test_everything_goes_to_the_gpu_where_there_is_one() -> None:
    assert "--gpu-layers 9999" in words(builders.model_spec(), offload=True)
    assert "--gpu-layers 0" in words(builders.model_spec(options={"llamacpp.gpu-layers": "0"}), offload=True)
    assert "--gpu-layers" not in words(builders.model_spec(options={"llamacpp.gpu-layers": "auto"}), offload=True)


def test_embedding_and_reranking_models_are_served_as_such() -> None:
    assert "--embeddings" in words(builders.model_spec(), file(is_embedding=True))
    assert "--reranking" in words(builders.model_spec(), file(is_reranker=True))
    twice = words(builders.model_spec(runtime_flags=("--embedding",)), file(is_embedding=True))
    assert twice.split().count("--embedding") + twice.split().count("--embeddings") == 1


def test_files_beside_the_weights_are_used() -> None:
    model = file(mmproj=Path("/models/p.gguf"), chat_template=Path("/models/t.jinja"))
    assert "--mmproj /models/p.gguf --jinja --chat-template-file /models/t.jinja" in words(builders.model_spec(), model)
    named = builders.model_spec(runtime_flags=("--chat-template", "chatml"))
    assert "--chat-template-file" not in words(named, model)


def test_a_users_flag_comes_last_and_once() -> None:
    assert words(builders.model_spec(runtime_flags=("--no-jinja",))).endswith("--ctx-size 4096 --no-jinja")


@pytest.mark.parametrize(
    ("given", "reference"),
    [
        ({}, "ai/smollm2"),
        ({"cloud.model-id": "hf.co/a/b:Q4_K_M"}, "hf.co/a/b:Q4_K_M"),
        ({"cloud.model-source": "hf://a/b"}, "hf.co/a/b"),
        ({"cloud.model-source": "oci://ghcr.io/a/b:1"}, "ghcr.io/a/b:1"),
        ({"cloud.model-source": "file:///srv/m.gguf"}, "file:/srv/m.gguf"),
        ({"cloud.model-revision": "sha256:" + "0" * 64}, "ai/smollm2@sha256:" + "0" * 64),
    ],
)
def test_which_model_is_served(given: dict[str, str], reference: str) -> None:
    assert command.reference(builders.model_spec(options=given)) == reference


@pytest.mark.parametrize(
    ("given", "flags", "key"),
    [
        ({"llamacpp.threads": "4"}, ("-t", "2"), "llamacpp.threads"),
        ({"cloud.idle-timeout": "1m"}, ("--sleep-idle-seconds", "60"), "cloud.idle-timeout"),
        ({"llamacpp.threads": "4", "cloud.cpu": "2"}, (), "llamacpp.threads"),
        ({"llamacpp.parallel": "4", "cloud.replicas": "2"}, (), "llamacpp.parallel"),
        ({"cloud.engine": "vllm"}, (), "cloud.engine"),
        ({"cloud.auth": "iam"}, (), "cloud.auth"),
        ({"cloud.visibility": "public"}, (), "cloud.visibility"),
        ({"cloud.visibility": "tunnel"}, (), "cloud.visibility"),
        ({"cloud.model-source": "s3://bucket/m.gguf"}, (), "cloud.model-source"),
        ({"cloud.model-id": "a@sha256:1", "cloud.model-revision": "b"}, (), "cloud.model-revision"),
    ],
)
def test_what_cannot_be_honoured_here_is_refused_beforehand(
    given: dict[str, str], flags: tuple[str, ...], key: str
) -> None:
    spec = builders.model_spec(options=given, runtime_flags=flags)
    refused = {f.key: f.detail for f in options.check(spec, SETTINGS) if f.handling is Handling.REJECTED}
    assert list(refused) == [key]
    assert refused[key]
    with pytest.raises(Rejected, match=key.replace(".", r"\.")):
        options.refuse(spec, SETTINGS)


def test_an_open_listener_needs_the_operators_word_and_a_key() -> None:
    open_settings = LlamaCppSettings(run_root=Path("/run/x"), public=True)
    public = builders.model_spec(options={"cloud.visibility": "public"})
    options.refuse(public, open_settings)
    assert options.address(public, open_settings) == "0.0.0.0"
    keyless = builders.model_spec(options={"cloud.visibility": "public", "cloud.auth": "none"})
    with pytest.raises(Rejected, match=r"cloud\.auth"):
        options.refuse(keyless, open_settings)


def test_a_value_out_of_bounds_is_refused_and_not_passed_on() -> None:
    with pytest.raises(Rejected, match=r"llamacpp\.threads.*between"):
        words(builders.model_spec(options={"llamacpp.threads": "9999"}))


def test_the_catalogue_says_what_this_driver_honours() -> None:
    """A plan is made from the catalogue alone, without importing a driver: the two must agree."""
    assert catalog.platforms().platforms["llamacpp"].honoured == options.IMPLEMENTED
    assert not options.IMPLEMENTED - catalog.vocabulary().keys.keys()
