"""From a source to what is desired, with real git: read when the head moves, and never backwards in history."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.compose.load import LoadRequest
from reconciler.desired import DesiredSettings
from reconciler.errors import InputError, SourceError
from reconciler.reading import Pinned, Reader
from reconciler.settings import ProjectSettings, default_settings
from reconciler.source import Snapshot
from reconciler.source.git import GitSource
from reconciler.source.worktree import WorktreeSource
from reconciler.wiring import service_reader
from tests.reconciler.desk import COMPOSE
from tests.reconciler.repositories import Repo

LARGER = COMPOSE + "    context_size: 4096\n"


class _Counted:
    """A reader over a repository that counts how often Compose was read."""

    def __init__(self, repo: Repo, *, strict: bool = True) -> None:
        self.loads = 0
        source = GitSource(str(repo.path))

        def request(snapshot: Snapshot) -> LoadRequest:
            self.loads += 1
            return LoadRequest(cwd=snapshot.root, environment={})

        self.reader = Reader(source, request, DesiredSettings(), follows=source.is_descendant if strict else None)

    def context_size(self) -> int | None:
        return self.reader.read().desired.models["llm"].spec.context_size


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "shop")
    made.commit({"compose.yaml": COMPOSE})
    return made


def test_a_reading_says_what_and_where_from(repo: Repo) -> None:
    reading = _Counted(repo).reader.read()
    assert reading.revision == repo.git("rev-parse", "HEAD")
    assert reading.origin == str(repo.path)
    assert set(reading.desired.models) == {"llm"}
    assert reading.project.name == "demo"


def test_the_same_head_is_not_read_twice_and_a_new_one_is(repo: Repo) -> None:
    counted = _Counted(repo)
    first = counted.reader.read()
    assert counted.reader.read() is first
    assert counted.loads == 1
    repo.commit({"compose.yaml": LARGER})
    assert counted.context_size() == 4096
    assert counted.loads == 2


def test_the_head_of_the_present_reading_is_known(repo: Repo) -> None:
    reader = _Counted(repo).reader
    assert reader.read_head == ""
    reader.read()
    assert reader.read_head == reader.head()
    repo.commit({"compose.yaml": LARGER})
    assert reader.read_head != reader.head()


def test_files_that_nobody_committed_play_no_part(repo: Repo) -> None:
    (repo.path / "compose.yaml").write_text(LARGER, encoding="utf-8")
    assert _Counted(repo).context_size() is None


@pytest.mark.parametrize("broken", ["services: [", "", "models: 3\n"])
def test_a_broken_commit_is_an_error_each_time_and_the_next_good_one_is_read(repo: Repo, broken: str) -> None:
    counted = _Counted(repo)
    counted.reader.read()
    repo.commit({"compose.yaml": broken})
    for _ in range(2):
        with pytest.raises((InputError, SourceError), match=r"compose\.yaml"):
            counted.reader.read()
    repo.commit({"compose.yaml": LARGER})
    assert counted.context_size() == 4096


def test_rewritten_history_is_not_followed(repo: Repo) -> None:
    counted = _Counted(repo)
    repo.commit({"compose.yaml": LARGER})
    counted.reader.read()
    repo.git("commit", "-q", "--amend", "-m", "another story")
    with pytest.raises(SourceError, match=r"history was rewritten: .* `allow_rewrite: true`"):
        counted.reader.read()
    lenient = _Counted(repo, strict=False)
    lenient.reader.last_revision = counted.reader.last_revision
    lenient.reader.read()


def test_history_is_compared_with_what_an_earlier_process_applied(repo: Repo) -> None:
    newer = repo.commit({"compose.yaml": LARGER})
    repo.git("reset", "-q", "--hard", "HEAD~1")
    reader = _Counted(repo).reader
    reader.last_revision = newer
    with pytest.raises(SourceError, match="history was rewritten"):
        reader.read()


def test_a_project_below_the_root_has_its_own_folder(repo: Repo) -> None:
    repo.commit({"deploy/compose.yaml": LARGER})
    settings = ProjectSettings(checkout=repo.path, subfolder="deploy")
    reading = service_reader(settings, default_settings({"HOME": "/nonexistent"}), {}).read()
    assert reading.origin == str(repo.path / "deploy")
    assert reading.desired.models["llm"].spec.context_size == 4096


def test_the_service_gives_files_only_the_variables_that_were_allowed(repo: Repo) -> None:
    repo.commit({"compose.yaml": COMPOSE.replace("ai/smollm2", "ai/smollm2:${TAG:-latest}")})
    settings, environment = default_settings({"HOME": "/nonexistent"}), {"TAG": "secret"}
    reading = service_reader(ProjectSettings(checkout=repo.path), settings, environment).read()
    assert reading.desired.models["llm"].spec.model == "ai/smollm2:latest"


def _service(repo: Repo) -> Reader:
    return service_reader(ProjectSettings(checkout=repo.path), default_settings({"HOME": "/nonexistent"}), {})


def test_after_a_restart_with_a_broken_commit_the_last_good_one_is_recalled(repo: Repo) -> None:
    good = repo.git("rev-parse", "HEAD")
    repo.commit({"compose.yaml": "services: ["})
    reader = _service(repo)
    reader.last_revision = good
    with pytest.raises(InputError):
        reader.read()
    recalled = reader.recall()
    assert recalled is not None
    assert recalled.revision == good
    assert set(recalled.desired.models) == {"llm"}
    assert reader.recall() is recalled
    with pytest.raises(InputError):
        reader.read()
    assert reader.read_head == "", "what was recalled is no reading of the head"
    repo.commit({"compose.yaml": LARGER})
    assert reader.read().desired.models["llm"].spec.context_size == 4096


@pytest.mark.parametrize("revision", ["", "0" * 40, "worktree:0123456789abcdef", "--upload-pack=x"])
def test_a_revision_that_is_not_there_is_not_recalled(repo: Repo, revision: str) -> None:
    repo.commit({"compose.yaml": "services: ["})
    reader = _service(repo)
    reader.last_revision = revision
    assert reader.recall() is None


def test_the_last_good_reading_of_this_process_is_the_one_recalled(repo: Repo) -> None:
    reader = _service(repo)
    first = reader.read()
    repo.commit({"compose.yaml": ""})
    with pytest.raises(SourceError):
        reader.read()
    assert reader.recall() is first


def test_committed_bytes_are_those_of_the_reading_whatever_lies_in_the_work_tree(repo: Repo) -> None:
    reader = _service(repo)
    path = reader.read().project.compose_files[0]
    (repo.path / "compose.yaml").write_text("edited", encoding="utf-8")
    assert reader.committed(path) == COMPOSE.encode()
    repo.commit({"compose.yaml": "services: ["})
    with pytest.raises(InputError):
        reader.read()
    assert reader.committed(path) == COMPOSE.encode(), "of the good reading, not of the head"


def test_where_the_work_tree_is_the_source_nothing_is_committed(repo: Repo) -> None:
    source = WorktreeSource(repo.path, ())
    reader = Reader(source, lambda snapshot: LoadRequest(cwd=snapshot.root, environment={}), DesiredSettings())
    assert reader.recall() is None
    first = reader.read()
    assert reader.committed(str(repo.path / "compose.yaml")) is None
    assert reader.recall() is first


def test_a_pinned_reading_never_changes(repo: Repo) -> None:
    reading = _Counted(repo).reader.read()
    pinned = Pinned(reading)
    repo.commit({"compose.yaml": LARGER})
    assert pinned.read() is reading
    assert pinned.recall() is reading
    assert pinned.committed(reading.project.compose_files[0]) is None
