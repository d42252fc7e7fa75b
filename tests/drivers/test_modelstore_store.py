"""The store on disk: importing, serving in place, removing, and surviving whatever happens to its files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from drivers.errors import Denied, Exhausted, Rejected
from drivers.modelstore.index import Entry
from drivers.modelstore.pull import PullState
from drivers.modelstore.store import ModelStore
from tests.faults.disks import small_disk
from tests.ggufs import LLAMA, Tensor, gguf, write_gguf

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NAME = "registry.example/team/chat:v1"


def new_store(root: Path, **options: Any) -> ModelStore:
    return ModelStore(root, **{"environ": {}, "clock": lambda: NOON, "sleep": lambda seconds: None, **options})


@pytest.mark.parametrize("mode", ["copy", "hardlink"])
def test_a_file_is_imported_under_a_reference(tmp_path: Path, mode: Any) -> None:
    path = write_gguf(tmp_path / "tiny.gguf")
    store = new_store(tmp_path / "store")
    model = store.import_file(path, NAME, mode)
    assert store.find(NAME) == model
    assert (model.path.read_bytes(), model.size, model.header.name) == (path.read_bytes(), path.stat().st_size, "Tiny")
    assert (model.source, model.stored_at) == (f"imported from {path}", NOON)
    assert model.path.samefile(path) is (mode == "hardlink")
    assert store.pull(NAME) == model, "nothing is asked for what is here"
    path.unlink()
    assert store.find(NAME) == model


def test_a_reflink_shares_blocks_or_says_that_it_cannot(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf")
    store = new_store(tmp_path / "store")
    can = subprocess.run(["cp", "--reflink=always", path, tmp_path / "copy"], capture_output=True).returncode == 0
    if can:
        assert store.import_file(path, NAME, "reflink").path.read_bytes() == path.read_bytes()
        return
    with pytest.raises(Denied, match="use copy"):
        store.import_file(path, NAME, "reflink")
    assert [p for p in (tmp_path / "store").rglob("*") if p.is_file() and p.stat().st_size] == []


def test_all_parts_of_a_split_file_are_imported(tmp_path: Path) -> None:
    first = write_gguf(tmp_path / "m-00001-of-00002.gguf", {**LLAMA, "split.no": 0, "split.count": 2}, ())
    second = write_gguf(tmp_path / "m-00002-of-00002.gguf", {"split.no": 1, "split.count": 2}, [Tensor("a", (64, 2))])
    store = new_store(tmp_path / "store")
    model = store.import_file(first, NAME)
    assert [path.read_bytes() for path in model.paths] == [first.read_bytes(), second.read_bytes()]
    second.unlink()
    with pytest.raises(Rejected, match="does not exist"):
        store.import_file(first, NAME)


@pytest.mark.parametrize(
    ("name", "content", "reference", "why"),
    [
        ("page.gguf", b"<html>this is no model at all</html>", NAME, "begin with 'GGUF'"),
        ("short.gguf", gguf()[:-1], NAME, "after the header"),
        ("absent.gguf", None, NAME, "does not exist"),
        ("tiny.gguf", gguf(), "file:/srv/x.gguf", "served in place"),
        ("tiny.gguf", gguf(), "ai/../x", "'..'"),
    ],
)
def test_what_is_no_model_is_not_imported(
    tmp_path: Path, name: str, content: bytes | None, reference: str, why: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(Rejected, match=why):
        new_store(tmp_path / "store").import_file(tmp_path / name, reference)
    assert not (tmp_path / "store" / "index").exists()


def test_an_import_that_does_not_fit_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(Exhausted, match="no room"):
        new_store(tmp_path / "store", free_space=lambda path: 100).import_file(write_gguf(tmp_path / "t.gguf"), NAME)


def test_an_import_that_fills_the_disk_leaves_nothing_and_works_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "t.gguf"
    path.write_bytes(gguf(LLAMA, [Tensor("a", (1024, 1024))]))
    with small_disk(tmp_path / "small", "5m") as disk:
        (disk / "somebodys").write_bytes(b"x" * (2 << 20))
        # The preflight is told a lie, as when somebody else fills the disk meanwhile.
        store = new_store(disk / "store", free_space=lambda path: 1 << 40)
        with pytest.raises(Exhausted, match="No space left"):
            store.import_file(path, NAME)
        assert [
            left for name in ("blobs", "partial", "index") for left in (disk / "store" / name).rglob("*.gguf")
        ] == []
        assert store.find(NAME) is None
        (disk / "somebodys").unlink()
        assert store.import_file(path, NAME).path.read_bytes() == path.read_bytes()


def test_a_file_reference_is_served_from_where_it_lies(tmp_path: Path) -> None:
    path = write_gguf(_folder(tmp_path, "models") / "t.gguf")
    store = new_store(tmp_path / "store", models_roots=[tmp_path / "models"])
    model = store.find(f"file:{path}")
    assert model
    assert (model.path, model.digest, model.header.name, model.size) == (path, None, "Tiny", path.stat().st_size)
    assert not (tmp_path / "store").exists(), "nothing is written for it"
    assert store.pull_status(f"file:{path}").state is PullState.DONE
    write_gguf(path, {**LLAMA, "general.name": "Replaced by another"})
    again = store.find(f"file:{path}")
    assert again
    assert again.header.name == "Replaced by another"


def test_a_file_outside_the_allowed_folders_is_denied(tmp_path: Path) -> None:
    inside, outside = _folder(tmp_path, "models"), write_gguf(_folder(tmp_path, "elsewhere") / "t.gguf")
    (inside / "link.gguf").symlink_to(outside)
    store = new_store(tmp_path / "store", models_roots=[inside])
    for reference in (f"file:{outside}", f"file:{inside}/link.gguf", f"file:{tmp_path}/models-too/t.gguf"):
        with pytest.raises(Denied, match="models_roots"):
            store.find(reference)
    with pytest.raises(Denied, match=r"models_roots` \(none\)"):
        new_store(tmp_path / "store").find(f"file:{inside}/link.gguf")


def test_a_part_that_leads_outside_is_denied(tmp_path: Path) -> None:
    inside, outside = _folder(tmp_path, "models"), write_gguf(_folder(tmp_path, "elsewhere") / "t.gguf")
    write_gguf(inside / "m-00001-of-00002.gguf", {**LLAMA, "split.no": 0, "split.count": 2}, ())
    (inside / "m-00002-of-00002.gguf").symlink_to(outside)
    with pytest.raises(Denied, match="models_roots"):
        new_store(tmp_path / "store", models_roots=[inside]).find(f"file:{inside}/m-00001-of-00002.gguf")


def test_a_file_that_is_absent_or_no_model_is_told_apart(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "models")
    (folder / "page.gguf").write_text("<html>this is no model at all</html>")
    store = new_store(tmp_path / "store", models_roots=[folder])
    assert store.find(f"file:{folder}/absent.gguf") is None
    assert store.pull_status(f"file:{folder}/absent.gguf").state is PullState.IDLE
    for pulling in (store.pull, store.start_pull):
        with pytest.raises(Rejected, match="nothing can be pulled"):
            pulling(f"file:{folder}/absent.gguf")
    with pytest.raises(Rejected, match="begin with 'GGUF'"):
        store.find(f"file:{folder}/page.gguf")


def test_removal_keeps_what_others_need(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf")
    store = new_store(tmp_path / "store")
    first, second = store.import_file(path, NAME), store.import_file(path, "ai/other")
    assert first.path == second.path
    removal = store.remove(NAME)
    assert (removal.reference, removal.freed_bytes, removal.shared) == (NAME, 0, ("docker.io/ai/other:latest",))
    assert store.find("ai/other") == second
    assert store.remove("ai/other").freed_bytes == path.stat().st_size
    assert not second.path.exists()
    assert store.ls() == ()
    with pytest.raises(Rejected, match="not in the store"):
        store.remove(NAME)
    with pytest.raises(Rejected, match="served in place"):
        store.remove(f"file:{path}")


def test_pruning_takes_what_nobody_needs_and_nothing_else(tmp_path: Path) -> None:
    store = new_store(tmp_path / "store")
    assert store.prune() == 0
    model = store.import_file(write_gguf(tmp_path / "tiny.gguf"), NAME)
    partial = tmp_path / "store" / "partial"
    (partial / ("0" * 64)).write_bytes(b"x" * 100)
    (partial / "import.4194305.abc").write_bytes(b"x" * 10)  # no process has a number beyond 2^22
    (partial / f"import.{os.getpid()}.abc").write_bytes(b"x")
    (tmp_path / "store" / "blobs" / "sha256" / ("1" * 64)).write_bytes(b"x" * 1000)
    assert store.prune() == 1110
    assert store.find(NAME) == model
    assert [path.name for path in partial.iterdir()] == [f"import.{os.getpid()}.abc"], "a living import is left alone"


def test_a_transfer_in_progress_is_not_pruned(tmp_path: Path) -> None:
    store = new_store(tmp_path / "store")
    digest = "sha256:" + "0" * 64
    with store.blobs()._locked(digest):
        store.blobs().partial(digest).write_bytes(b"on its way")
        assert store.prune() == 0
    assert store.prune() == 10


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        lambda path: path.write_text("[]"),
        lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99})),
        lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | {"files": [{"role": "?"}]})),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.unlink(),
    ],
)
def test_a_damaged_entry_is_no_model_and_no_crash(tmp_path: Path, damage: Any) -> None:
    store = new_store(tmp_path / "store")
    store.import_file(write_gguf(tmp_path / "tiny.gguf"), NAME)
    (entry,) = (tmp_path / "store" / "index").iterdir()
    damage(entry)
    assert store.find(NAME) is None
    assert store.ls() == ()
    assert store.import_file(tmp_path / "tiny.gguf", NAME) == store.find(NAME)


@pytest.mark.parametrize("spoil", [lambda p: p.unlink(), lambda p: p.write_bytes(b"x"), lambda p: os.utime(p, (1, 1))])
def test_a_model_whose_file_is_not_as_it_was_is_not_found(tmp_path: Path, spoil: Any) -> None:
    store = new_store(tmp_path / "store")
    model = store.import_file(write_gguf(tmp_path / "tiny.gguf"), NAME)
    spoil(model.path)
    assert store.find(NAME) is None
    assert store.pull_status(NAME).state is PullState.IDLE


def test_an_entry_survives_being_written(tmp_path: Path) -> None:
    store = new_store(tmp_path / "store")
    store.import_file(write_gguf(tmp_path / "tiny.gguf"), NAME)
    (entry,) = store.index.all()
    assert Entry.from_json(json.loads(json.dumps(entry.to_json()))) == entry


def test_a_store_that_cannot_be_written_is_denied(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(Denied, match="owner and mode"):
        new_store(tmp_path / "store").import_file(write_gguf(tmp_path / "tiny.gguf"), NAME)


def test_one_file_under_several_names_stays_under_all_of_them(tmp_path: Path) -> None:
    path, store = write_gguf(tmp_path / "tiny.gguf"), new_store(tmp_path / "store")
    for name in "abc":
        store.import_file(path, f"ai/{name}")
    assert [model.reference for model in store.ls()] == [f"docker.io/ai/{name}:latest" for name in "abc"]


def test_many_writers_at_once_leave_whole_entries(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf")
    store = new_store(tmp_path / "store", sleep=lambda seconds: threading.Event().wait(0.001))
    threads = [threading.Thread(target=store.import_file, args=(path, f"ai/m{number % 4}")) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert [model.reference for model in store.ls()] == [f"docker.io/ai/m{number}:latest" for number in range(4)]


def test_asking_the_store_loads_nothing_heavy(tmp_path: Path) -> None:
    new_store(tmp_path / "store").import_file(write_gguf(tmp_path / "tiny.gguf"), NAME)
    heavy = {"http.client", "ssl", "socket", "subprocess", "threading", "urllib.request", "shutil", "tempfile"}
    script = (
        "import sys; from pathlib import Path; from drivers.modelstore.store import ModelStore\n"
        f"assert ModelStore(Path(sys.argv[1]), environ={{}}).find({NAME!r})\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    command = [sys.executable, "-S", "-c", script, str(tmp_path / "store")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def _folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name
