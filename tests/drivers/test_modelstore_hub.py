"""Models from the Hugging Face Hub, over a local server that speaks its API."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from drivers.errors import Denied, Rejected, Unavailable
from drivers.modelstore.artifact import Role
from drivers.modelstore.hub import HubFile, choose
from drivers.modelstore.reference import parse_reference
from drivers.modelstore.sources import hub_token
from drivers.modelstore.store import ModelStore
from tests.ggufs import LLAMA, Tensor, gguf
from tests.scripted import Reply, Request, Scripted, scripted_server

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_secret"


def new_store(root: Path, hub: Scripted, **options: Any) -> ModelStore:
    defaults: dict[str, Any] = {"environ": {}, "sleep": lambda seconds: None, "hub": f"http://{hub.host}"}
    return ModelStore(root, **{**defaults, **options})


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def listing(files: Mapping[str, bytes]) -> bytes:
    siblings = [
        {"rfilename": name, "size": len(data), "blobId": "0" * 40, "lfs": {"sha256": digest(data), "size": len(data)}}
        for name, data in files.items()
    ]
    return json.dumps({"id": "Org/Repo", "sha": COMMIT, "siblings": [{"rfilename": "README.md"}, *siblings]}).encode()


def hub_with(files: Mapping[str, bytes], storage: Scripted, *, revision: str = "main", token: str | None = None) -> Any:
    """The Hub's answers: the listing itself, and redirects to its storage for the files."""

    def answer(request: Request) -> Reply:
        if token and request.headers.get("Authorization") != f"Bearer {token}":
            return Reply(401, {}, b'{"error":"Repository not found"}')
        if request.path == f"/api/models/Org/Repo/revision/{revision}?blobs=true":
            return Reply(200, {}, listing(files))
        prefix = f"/Org/Repo/resolve/{COMMIT}/"
        if request.path.startswith(prefix) and request.path.removeprefix(prefix) in files:
            name = request.path.removeprefix(prefix)
            return Reply(302, {"Location": f"http://{storage.host}/{name}?X-Signature=abc"})
        return Reply(404)

    return scripted_server(answer)


def storage_with(files: Mapping[str, bytes]) -> Any:
    return scripted_server(lambda request: Reply(200, {}, files[request.path.partition("?")[0].lstrip("/")]))


Q4, Q8, PROJECTOR = gguf(), gguf({**LLAMA, "general.name": "Eight"}), gguf({"general.architecture": "clip"})
FILES = {"Repo-Q4_K_M.gguf": Q4, "Repo-Q8_0.gguf": Q8, "mmproj-Repo-F16.gguf": PROJECTOR, "mmproj-Repo-F32.gguf": b"32"}


def test_a_quantisation_is_pulled_with_its_projector(tmp_path: Path) -> None:
    with storage_with(FILES) as storage, hub_with(FILES, storage) as hub:
        store = new_store(tmp_path, hub)
        default = store.pull("hf.co/Org/Repo")
        assert (default.path.read_bytes(), default.reference) == (Q4, "huggingface.co/org/repo:latest")
        assert default.mmproj
        assert default.mmproj.read_bytes() == PROJECTOR
        eight = store.pull("hf.co/Org/Repo:q8_0")
        assert (eight.path.read_bytes(), eight.digest) == (Q8, f"sha256:{digest(Q8)}")
        assert store.find("huggingface.co/org/repo:Q8_0") == eight


def test_the_token_goes_to_the_hub_and_not_to_its_storage(tmp_path: Path) -> None:
    with storage_with(FILES) as storage, hub_with(FILES, storage, token=TOKEN) as hub:
        with pytest.raises(Denied, match="HF_TOKEN"):
            new_store(tmp_path, hub).pull("hf.co/Org/Repo")
        assert new_store(tmp_path, hub, environ={"HF_TOKEN": TOKEN}).pull("hf.co/Org/Repo").path.read_bytes() == Q4
        assert storage.requests
        assert all("Authorization" not in request.headers for request in storage.requests)
        with pytest.raises(Denied, match="accept its terms") as failure:
            new_store(tmp_path / "b", hub, environ={"HF_TOKEN": "hf_wrong"}).pull("hf.co/Org/Repo")
        assert "hf_wrong" not in str(failure.value)


def test_a_revision_is_asked_for(tmp_path: Path) -> None:
    with storage_with(FILES) as storage, hub_with(FILES, storage, revision="v2") as hub:
        assert new_store(tmp_path, hub).pull("hf.co/Org/Repo@v2").path.read_bytes() == Q4
        assert new_store(tmp_path / "b", hub, hub_revision="v2").pull("hf.co/Org/Repo").path.read_bytes() == Q4
        with pytest.raises(Rejected, match="revision main"):
            new_store(tmp_path, hub).pull("hf.co/Org/Repo:Q8_0")


def test_wrong_bytes_from_the_storage_are_refused(tmp_path: Path) -> None:
    spoiled = {name: data[:-1] + b"\x01" for name, data in FILES.items()}
    with storage_with(spoiled) as storage, hub_with(FILES, storage) as hub:
        with pytest.raises(Unavailable, match="does not match"):
            new_store(tmp_path, hub).pull("hf.co/Org/Repo")
        assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []


def test_a_split_model_is_pulled_whole(tmp_path: Path) -> None:
    first = gguf({**LLAMA, "split.no": 0, "split.count": 2}, ())
    second = gguf({"split.no": 1, "split.count": 2}, [Tensor("b", (64, 3))])
    files = {"Q4_K_M/R-00001-of-00002.gguf": first, "Q4_K_M/R-00002-of-00002.gguf": second}
    with storage_with(files) as storage, hub_with(files, storage) as hub:
        model = new_store(tmp_path, hub).pull("hf.co/Org/Repo:Q4_K_M")
    assert [path.read_bytes() for path in model.paths] == [first, second]


def test_a_listing_that_is_none_is_unavailable(tmp_path: Path) -> None:
    for body in (b"<html>", b"[]", b'{"siblings": []}', b"[" * 100_000):
        with scripted_server(lambda request, body=body: Reply(200, {}, body)) as hub, pytest.raises(Unavailable):  # type: ignore[misc]
            new_store(tmp_path, hub).pull("hf.co/Org/Repo")


def file(path: str) -> HubFile:
    return HubFile(path, 1, "sha256:" + "0" * 64)


MANY = [file(f"M-{label}.gguf") for label in ("BF16", "IQ4_XS", "Q4_K_M", "Q4_K_S", "Q8_0", "UD-Q4_K_XL")]


@pytest.mark.parametrize(
    ("tag", "files", "chosen"),
    [
        ("", MANY, ["M-Q4_K_M.gguf"]),
        (":latest", MANY, ["M-Q4_K_M.gguf"]),
        (":iq4_xs", MANY, ["M-IQ4_XS.gguf"]),
        (":UD-Q4_K_XL", MANY, ["M-UD-Q4_K_XL.gguf"]),
        (":bf16", MANY, ["M-BF16.gguf"]),
        ("", [file("b.gguf"), file("a.imatrix.gguf"), file("c.gguf")], ["b.gguf"]),
        ("", [file("mmproj-BF16.gguf"), file("mmproj-F16.gguf"), file("x.gguf")], ["x.gguf", "mmproj-F16.gguf"]),
        (":F16", [file("mmproj-F16.gguf"), file("x-F16.gguf")], ["x-F16.gguf", "mmproj-F16.gguf"]),
    ],
)
def test_the_tag_chooses_as_model_runner_does(tag: str, files: list[HubFile], chosen: list[str]) -> None:
    assert [found.path for _, found in choose(parse_reference(f"hf.co/o/r{tag}"), files)] == chosen


@pytest.mark.parametrize(
    ("tag", "files", "why"),
    [
        (":Q4_K", MANY, "has BF16, IQ4_XS, Q4_K_M, Q4_K_S, Q8_0, UD-Q4_K_XL"),
        (":Q5_K_M", [file("x.gguf")], "no named quantisations"),
        ("", [file("mmproj-F16.gguf")], "no GGUF"),
        ("", [], "no GGUF"),
        ("", [file("m-Q4_K_M-00001-of-00002.gguf")], "part m-Q4_K_M-00002-of-00002.gguf"),
    ],
)
def test_what_is_not_there_is_rejected_and_never_replaced(tag: str, files: list[HubFile], why: str) -> None:
    with pytest.raises(Rejected, match=why):
        choose(parse_reference(f"hf.co/o/r{tag}"), files)


def test_a_projector_is_no_weights() -> None:
    roles = [role for role, _ in choose(parse_reference("hf.co/o/r"), [file("mmproj-F16.gguf"), file("x.gguf")])]
    assert roles == [Role.WEIGHTS, Role.MMPROJ]


def test_the_token_is_found_where_the_hubs_tools_keep_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_file\n")
    assert hub_token({"HF_TOKEN": "hf_env", "HF_HOME": str(tmp_path)}) == "hf_env"
    assert hub_token({"HF_HOME": str(tmp_path)}) == "hf_file"
    assert hub_token({"HF_TOKEN_PATH": str(tmp_path / "token")}) == "hf_file"
    assert hub_token({"HF_HOME": str(tmp_path / "absent")}) is None
    (tmp_path / "token").write_text("two\nlines")
    assert hub_token({"HF_HOME": str(tmp_path)}) is None
