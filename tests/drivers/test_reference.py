"""What a model reference means: Docker Model Runner's normalisation, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modelstore.reference import Kind, Reference, is_digest, parse_reference

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("smollm2", "docker.io/ai/smollm2:latest"),
        ("ai/smollm2", "docker.io/ai/smollm2:latest"),
        ("  ai/smollm2\n", "docker.io/ai/smollm2:latest"),
        ("AI/SmolLM2:135M-Q4_0", "docker.io/ai/smollm2:135M-Q4_0"),
        ("smollm2:135M-Q4_0", "docker.io/ai/smollm2:135M-Q4_0"),
        ("docker.io/ai/smollm2", "docker.io/ai/smollm2:latest"),
        ("docker.io/smollm2", "docker.io/library/smollm2:latest"),
        ("index.docker.io/ai/smollm2", "docker.io/ai/smollm2:latest"),
        ("registry-1.docker.io/ai/smollm2:v1", "docker.io/ai/smollm2:v1"),
        (f"ai/x@{DIGEST}", f"docker.io/ai/x@{DIGEST}"),
        (f"x@{DIGEST}", f"docker.io/ai/x@{DIGEST}"),
        (f"ai/x:tag@{DIGEST}", f"docker.io/ai/x@{DIGEST}"),
        ("ghcr.io/Me/Chat:Tag", "ghcr.io/me/chat:Tag"),
        ("registry.example/x", "registry.example/x:latest"),
        ("registry.example:5000/a/b/c:1", "registry.example:5000/a/b/c:1"),
        ("localhost/x", "localhost/x:latest"),
        ("LOCALHOST:5000/team/x", "localhost:5000/team/x:latest"),
        ("127.0.0.1:5000/ai/x", "127.0.0.1:5000/ai/x:latest"),
        ("10.1.2.3/ai/x", "10.1.2.3/ai/x:latest"),
        ("a.b/my__model-x.y_z", "a.b/my__model-x.y_z:latest"),
        ("hf.co/Org/Repo-GGUF", "huggingface.co/org/repo-gguf:latest"),
        ("hf.co/Org/Repo-GGUF:q4_k_m", "huggingface.co/org/repo-gguf:Q4_K_M"),
        ("huggingface.co/org/repo:LATEST", "huggingface.co/org/repo:latest"),
        ("hf.co/org/repo:Q8_0@0a1b2c3", "huggingface.co/org/repo:Q8_0@0a1b2c3"),
        ("file:/srv/models/a b.gguf", "file:/srv/models/a b.gguf"),
        ("file:///srv//models/./x.gguf", "file:/srv/models/x.gguf"),
    ],
)
def test_references_are_normalised_as_model_runner_does(text: str, canonical: str) -> None:
    reference = parse_reference(text)
    assert reference.canonical == canonical
    assert str(reference) == canonical
    assert parse_reference(canonical).canonical == canonical, "the canonical text means the same"


def test_the_parts_are_told_apart() -> None:
    assert parse_reference("registry.example:5000/team/chat:Q4") == Reference(
        Kind.OCI, "registry.example:5000", "team/chat", "Q4", None, "registry.example:5000/team/chat:Q4"
    )
    pinned = parse_reference(f"ai/chat:latest@{DIGEST}")
    assert (pinned.tag, pinned.digest) == (None, DIGEST)
    hub = parse_reference("hf.co/Org/Repo:q8_0")
    assert (hub.kind, hub.repository, hub.tag) == (Kind.HF, "Org/Repo", "Q8_0"), "the Hub is asked in the original case"
    assert parse_reference("file:/srv/x.gguf").repository == "/srv/x.gguf"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("x" * 2000, "longer than"),
        ("ai/smol lm", "blank or a control"),
        ("ai/smol\x00lm", "control"),
        ("ai/smol\u202elm", "control"),
        ("file:/srv/\x07x.gguf", "control"),
        ("https://registry.example/ai/x", "is a URL"),
        ("oci://ai/x", "is a URL"),
        ("user:hunter2@registry.example/x", "user name"),
        ("https://user:hunter2@registry.example/x", "user name"),
        ("user@registry.example/x", "user name"),
        ("169.254.169.254/latest/meta-data", "metadata"),
        ("169.254.1.1:80/x", "metadata"),
        ("0xa9fe.0xa9fe/x", "metadata"),
        ("169.16689662/x", "metadata"),
        ("0251.0376.0251.0376/x", "metadata"),
        ("2852039166.:80/x", "no valid host"),
        ("2852039166:80/x", "metadata"),
        ("0.0.0.0:5000/x", "metadata"),
        ("metadata.google.internal/x", "metadata"),
        ("100.100.100.200/x", "metadata"),
        ("[::1]:5000/x", "IPv6"),
        ("[fd00:ec2::254]/x", "IPv6"),
        ("registry.example:0/x", "port"),
        ("registry.example:99999/x", "port"),
        ("registry.example:http/x", "port"),
        ("-bad.example/x", "no valid host"),
        ("a..b/x", "no valid host"),
        ("ai/../x", "'..'"),
        ("ai/..", "'..'"),
        ("file:/srv/../etc/passwd", "'..'"),
        ("file:relative.gguf", "absolute"),
        ("file://host/x.gguf", "absolute"),
        ("file:/", "no file"),
        ("ai//x", "no valid name"),
        ("/x", "no valid name"),
        ("ai/-x", "no valid name"),
        ("ai/x:", "no valid tag"),
        ("ai/x:a/b", "no valid name"),
        ("ai/x:" + "t" * 129, "no valid tag"),
        ("ai/x@", "no valid digest"),
        ("ai/x@sha256:../../etc", "'..'"),
        ("ai/x@sha256:" + "0" * 63, "no valid digest"),
        ("ai/x@sha256:" + "A" * 64, "no valid digest"),
        ("ai/x@sha512:" + "0" * 128, "no valid digest"),
        ("0123456789ab", "id of a local model"),
        (DIGEST, "id of a local model"),
        ("hf.co/repo", "Hugging Face"),
        ("hf.co/a/b/c", "Hugging Face"),
        ("hf.co/a/b:Q4@../x", "revision"),
        ("hf.co/a/b@", "revision"),
    ],
)
def test_what_can_mean_nothing_or_harm_is_refused_in_a_sentence(text: str, why: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_reference(text)
    assert why in str(refused.value)
    assert "hunter2" not in str(refused.value), "a password is never repeated"


@given(st.text(max_size=80))
def test_any_text_is_a_reference_or_a_value_error(text: str) -> None:
    try:
        reference = parse_reference(text)
    except ValueError:
        return
    assert parse_reference(reference.canonical).canonical == reference.canonical


def test_only_a_well_formed_digest_may_become_a_file_name() -> None:
    assert is_digest(DIGEST)
    assert not any(map(is_digest, ["", "sha256:", DIGEST + "\n", DIGEST[:-1] + "G", "sha256:../../x", DIGEST.upper()]))


def test_parsing_a_reference_loads_nothing_heavy() -> None:
    heavy = {"http.client", "ssl", "socket", "hashlib", "json", "subprocess", "threading"}
    script = f"import sys\nimport drivers.modelstore.reference\nprint(sorted({heavy} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
