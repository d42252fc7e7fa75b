"""The files that tell services where their models answer: real ones, in a folder of the test's own."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from drivers.base import Endpoint
from reconciler.compose.project import Project
from reconciler.ports import Published
from reconciler.publish import FileOutputs, Places, clear_away, refuse_foreign, values_file
from reconciler.write import NotOurs, NotWritten, Outranked, Stamp, read_stamp
from state.record import OutputRecord
from tests.builders import LINEAGE, NOON, at, endpoint, keyed_endpoint, project, service
from tests.faults.disks import fill, free, small_disk

SECRET = "k-0123456789"
ONE = project(service("app", "llm"))


class _Folder:
    """A place for the files, and what is recorded of them."""

    def __init__(self, folder: Path) -> None:
        self.places = Places(override=folder / "checkout" / "compose.models.yaml", values=folder / "values")
        self.places.override.parent.mkdir()
        self.outputs = FileOutputs(self.places)
        self.recorded: Mapping[str, OutputRecord] = {}
        self.key = folder / "key"
        self.key.write_text(f"{SECRET}\n", encoding="utf-8")

    def publish(
        self,
        wanted: Project = ONE,
        *,
        epoch: int = 1,
        now: datetime = NOON,
        lineage: str = LINEAGE,
        **endpoints: Endpoint,
    ) -> Published:
        published = self.outputs.publish(
            wanted, endpoints, {}, Stamp(lineage, wanted.name, epoch, 1), now=now, recorded=self.recorded
        )
        self.recorded = {output.path: output for output in published.outputs}
        return published

    def keyed(self, url: str = "http://172.17.0.1:8080/v1/") -> Endpoint:
        return keyed_endpoint(url, key_file=str(self.key))

    @property
    def override(self) -> str:
        return self.places.override.read_text(encoding="utf-8")

    def env(self, name: str = "app", folder: str = "") -> Path:
        return values_file(self.places.values, name, folder)


@pytest.fixture
def folder(tmp_path: Path) -> _Folder:
    return _Folder(tmp_path)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_override_values_and_keys_are_written_and_refer_to_each_other(folder: _Folder) -> None:
    folder.publish(llm=folder.keyed())
    assert 'LLM_URL: "http://host.docker.internal:8080/v1/"' in folder.override
    assert f'path: "{folder.env("app", "keys")}"' in folder.override
    assert "LLM_URL=http://172.17.0.1:8080/v1/\n" in folder.env().read_text(encoding="utf-8")
    assert folder.env("app", "keys").read_text(encoding="utf-8").endswith(f"\nLLM_API_KEY={SECRET}\n")


def test_keys_are_for_their_owner_alone_and_nowhere_else(folder: _Folder) -> None:
    folder.publish(llm=folder.keyed())
    assert _mode(folder.env("app", "keys")) == _mode(folder.env()) == 0o600
    assert _mode(folder.env().parent) == _mode(folder.env("app", "keys").parent) == 0o700
    assert _mode(folder.places.override) == 0o644
    assert SECRET not in folder.override + folder.env().read_text(encoding="utf-8")


def test_the_same_again_touches_nothing(folder: _Folder) -> None:
    folder.publish(llm=endpoint())
    before = {path: path.stat().st_mtime_ns for path in folder.places.override.parent.parent.rglob("*")}
    published = folder.publish(llm=endpoint(), now=at(60))
    assert {path: path.stat().st_mtime_ns for path in folder.places.override.parent.parent.rglob("*")} == before
    assert published.changed_services == ()


def test_a_service_whose_values_changed_is_named_once(folder: _Folder) -> None:
    wanted = project(service("app", "llm"), service("batch", "llm"), service("off", "llm", active=False))
    assert folder.publish(wanted).changed_services == ("app", "batch")
    assert folder.publish(wanted, llm=endpoint()).changed_services == ("app", "batch")
    assert folder.publish(wanted, llm=endpoint()).changed_services == ()


def test_a_changed_key_alone_changes_the_service(folder: _Folder) -> None:
    folder.publish(llm=folder.keyed())
    folder.key.write_text("another\n", encoding="utf-8")
    assert folder.publish(llm=folder.keyed()).changed_services == ("app",)


def test_what_was_rolled_out_stays_known_until_it_changes(folder: _Folder) -> None:
    folder.publish(llm=endpoint())
    folder.recorded = {
        path: OutputRecord(
            path=path, checksum=each.checksum, written_at=NOON, applied=each.checksum, service=each.service
        )
        for path, each in folder.recorded.items()
    }
    before = folder.recorded[str(folder.env())].checksum
    folder.publish(llm=endpoint("http://172.17.0.1:9090/v1/"))
    record = folder.recorded[str(folder.env())]
    assert record.applied == before
    assert record.checksum != before


def test_files_of_a_service_that_wants_nothing_any_more_are_removed(folder: _Folder) -> None:
    wanted = project(service("app", "llm"), service("gone", "llm"))
    folder.publish(wanted, llm=folder.keyed())
    assert folder.env("gone", "keys").exists()
    folder.publish(ONE, llm=folder.keyed())
    assert not folder.env("gone").exists()
    assert not folder.env("gone", "keys").exists()
    assert set(folder.recorded) == {str(folder.places.override), str(folder.env()), str(folder.env("app", "keys"))}


def test_a_former_place_that_is_gone_or_somebody_elses_holds_nothing_up(folder: _Folder, tmp_path: Path) -> None:
    """The folder of an earlier --output was deleted, and no pass came to its end any more."""
    theirs = tmp_path / "theirs.env"
    theirs.write_text("MINE=1\n", encoding="utf-8")
    for path in (tmp_path / "gone" / "x.env", theirs):
        folder.recorded = dict(folder.recorded) | {str(path): _record(path)}
    folder.publish(llm=endpoint())
    assert theirs.read_text(encoding="utf-8") == "MINE=1\n"
    assert set(folder.recorded) == {str(folder.places.override), str(folder.env())}


def _record(path: Path) -> OutputRecord:
    return OutputRecord(path=str(path), checksum="0" * 64, written_at=NOON)


def test_a_lower_epoch_is_refused_and_changes_nothing(folder: _Folder) -> None:
    folder.publish(llm=endpoint(), epoch=5)
    before = folder.override
    with pytest.raises(Outranked):
        folder.publish(llm=endpoint("http://172.17.0.1:9090/v1/"), epoch=4)
    assert folder.override == before


def test_a_foreign_file_is_left_alone(folder: _Folder) -> None:
    folder.places.override.write_text("services: {}\n", encoding="utf-8")
    with pytest.raises(NotOurs):
        folder.publish(llm=endpoint())
    with pytest.raises(NotOurs, match="--output"):
        refuse_foreign(folder.places.override)
    assert folder.override == "services: {}\n"


def test_a_foreign_file_is_nobodys_concern_where_nothing_is_to_be_written(folder: _Folder) -> None:
    folder.places.override.write_text("services: {}\n", encoding="utf-8")
    assert folder.publish(project(service("app"))) == Published()
    assert folder.override == "services: {}\n"


def test_the_file_of_another_state_is_left_alone(folder: _Folder) -> None:
    folder.publish(llm=endpoint())
    with pytest.raises(NotOurs):
        folder.publish(llm=endpoint(), lineage="00000000-0000-4000-8000-000000000000")


def test_an_edit_is_kept_beside_the_file_and_told(folder: _Folder) -> None:
    folder.publish(llm=endpoint())
    edited = folder.override + "# by hand\n"
    folder.places.override.write_text(edited, encoding="utf-8")
    (told,) = folder.publish(llm=endpoint()).repaired
    (kept,) = folder.places.override.parent.glob("*.bak-*")
    assert kept.read_text(encoding="utf-8") == edited
    assert str(kept) in told
    assert "by hand" not in folder.override


def test_without_any_model_the_override_still_says_so(folder: _Folder) -> None:
    """`docker compose -f compose.yaml -f compose.models.yaml` must go on working after the last model went."""
    folder.publish(llm=endpoint())
    folder.publish(project(service("app")))
    assert folder.override.endswith("services: {}\nmodels: !reset null\n")
    assert not folder.env().exists()


def test_where_no_service_wants_a_model_nothing_is_written(folder: _Folder) -> None:
    assert folder.publish(project(service("app"))) == Published()
    assert not folder.places.override.exists()


@pytest.mark.parametrize(
    "name", ["a.b", "A", ".", "..", "../../etc/passwd", "a/b", "/abs", "", "ä", "x" * 300, ".env", "keys", "a\nb"]
)
def test_no_service_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    for below in ("", "keys"):
        path = values_file(tmp_path, name, below)
        assert path.parent == tmp_path / below
        assert path.name.endswith(".env")
        assert not path.name.startswith(".")
        assert len(path.name.encode()) < 200


def test_different_services_have_different_files(tmp_path: Path) -> None:
    names = ["a/b", "a_b", "a.b", ".a", "a", "x" * 300, "x" * 301]
    assert len({values_file(tmp_path, name) for name in names}) == len(names)


# -- taking over ------------------------------------------------------------------------------------------------------


def test_who_takes_over_puts_its_epoch_on_every_file(folder: _Folder) -> None:
    folder.publish(llm=folder.keyed(), epoch=3)
    assert folder.outputs.highest_epoch() == 3
    body = folder.override.split("\n", 2)[2]
    folder.outputs.claim(Stamp(LINEAGE, "demo", 7, 9))
    for path in (folder.places.override, folder.env(), folder.env("app", "keys")):
        stamp = read_stamp(path)
        assert isinstance(stamp, Stamp)
        assert stamp.epoch == 7
    assert folder.override.split("\n", 2)[2] == body
    with pytest.raises(Outranked):
        folder.publish(llm=folder.keyed(), epoch=6)


def test_taking_over_leaves_others_files_alone(folder: _Folder) -> None:
    folder.places.values.mkdir()
    theirs = folder.places.values / "theirs.env"
    theirs.write_text("X=1\n", encoding="utf-8")
    folder.outputs.claim(Stamp(LINEAGE, "demo", 7, 9))
    assert theirs.read_text(encoding="utf-8") == "X=1\n"
    assert folder.outputs.highest_epoch() == 0


# -- the last look before a delete ------------------------------------------------------------------------------------


def test_what_is_written_is_mentioned_and_nothing_else(folder: _Folder) -> None:
    folder.publish(llm=endpoint())
    assert folder.outputs.mentions(endpoint())
    assert not folder.outputs.mentions(endpoint("http://172.17.0.1:80/v1/"))
    assert not folder.outputs.mentions(endpoint("http://172.17.0.1:18080/v1/"))
    assert not folder.outputs.mentions(endpoint("https://models.example/v1/", on_this_host=False))


def test_nothing_is_mentioned_where_nothing_is(folder: _Folder) -> None:
    assert not folder.outputs.mentions(endpoint())


def test_a_file_that_cannot_be_understood_proves_nothing(folder: _Folder) -> None:
    """Bytes that are no text, or no file at all: neither may stop a pass, and neither allows a delete by itself."""
    folder.places.override.write_bytes(b"\xff\xfe :8080/ \xff")
    assert folder.outputs.mentions(endpoint())
    folder.places.override.unlink()
    folder.places.override.mkdir()
    assert folder.outputs.mentions(endpoint())


def test_a_file_says_what_was_recorded_of_it_until_somebody_writes_it(folder: _Folder) -> None:
    written = folder.publish(llm=folder.keyed())
    assert len(written.outputs) == 3
    assert all(folder.outputs.says(output) for output in written.outputs)
    folder.outputs.claim(Stamp(LINEAGE, "demo", 7, 9))
    assert all(folder.outputs.says(output) for output in written.outputs), "whose lease it is makes no other values"
    folder.publish(llm=endpoint("http://172.17.0.1:8081/v1/"), epoch=7)
    assert not any(folder.outputs.says(output) for output in written.outputs if output.service == "app")
    folder.env().unlink()
    assert not any(folder.outputs.says(output) for output in written.outputs if output.path == str(folder.env()))


# -- what the system refuses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\xff"])
def test_a_key_that_cannot_be_read_keeps_the_old_one_and_holds_nobody_else_up(
    folder: _Folder, content: bytes | None
) -> None:
    """One lost key once stopped every switch and every delete of the project, for ever."""
    folder.publish(llm=folder.keyed())
    keys = values_file(folder.places.values, "app", "keys")
    before = keys.read_text(encoding="utf-8")
    folder.key.unlink() if content is None else folder.key.write_bytes(content)
    published = folder.publish(llm=folder.keyed("http://172.17.0.1:9090/v1/"))
    assert ":9090/" in folder.override
    assert keys.read_text(encoding="utf-8") == before
    assert str(keys) in {output.path for output in published.outputs}
    (caution,) = published.cautions
    assert "cannot be read" in caution
    assert "xff" not in caution


def test_a_key_that_does_not_fit_on_the_disk_leaves_the_old_one(folder: _Folder) -> None:
    keys = folder.places.values / "keys"
    with small_disk(keys, "64k") as disk:
        folder.publish(llm=folder.keyed())
        before = folder.env(folder="keys").read_bytes()
        fill(disk)
        folder.key.write_text("k-9876543210\n", encoding="utf-8")
        with pytest.raises(NotWritten, match="No space left on device; the old one is intact"):
            folder.publish(llm=folder.keyed())
        assert folder.env(folder="keys").read_bytes() == before
        free(disk)
        folder.publish(llm=folder.keyed())
        assert "k-9876543210" in folder.env(folder="keys").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    places = Places(override=tmp_path / "file" / "x" / "compose.models.yaml", values=tmp_path / "values")
    given: dict[str, Any] = {"stamp": Stamp(LINEAGE, "demo", 1, 1), "now": NOON, "recorded": {}}
    with pytest.raises(NotWritten, match="cannot be made"):
        FileOutputs(places).publish(ONE, {"llm": endpoint()}, {}, **given)


def test_clearing_away_names_what_is_somebody_elses_and_takes_the_rest(folder: _Folder) -> None:
    folder.publish(llm=folder.keyed())
    folder.env().write_text("A=b\n", encoding="utf-8")
    paths = [Path(path) for path in folder.recorded]
    (said,) = clear_away(paths, Stamp(LINEAGE, "demo", 2, 2), now=NOON)
    assert str(folder.env()) in said
    assert [path for path in paths if path.exists()] == [folder.env()]
    assert not folder.env("app", "keys").parent.exists()
    folder.env().unlink()
    assert list(clear_away(paths, Stamp(LINEAGE, "demo", 2, 2), now=NOON)) == []
    assert not folder.places.values.exists()
