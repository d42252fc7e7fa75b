"""A project cannot make us read what lies outside its checkout: not by a path, not by a link, not by a variable."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.compose.load import LoadRequest, load
from reconciler.compose.project import Project
from reconciler.errors import InputError
from reconciler.source.fence import named_by
from reconciler.source.worktree import WorktreeSource
from tests.compose.cases.builders import APP, LLM

SECRET = "canary0123456789"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Somebody's keys, beside a checkout in `repo`."""
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    (tmp_path / "repo" / ".git" / "config").write_text(f"[http]\n\textraheader = AUTHORIZATION: basic {SECRET}\n")
    (tmp_path / "repo" / "inc.yaml").write_text("services: {inc: {image: x}}\n")
    (tmp_path / "keys").write_text(f"KEY={SECRET}\n")
    (tmp_path / "keys.yaml").write_text(f"{SECRET}: [\n")
    return tmp_path


def read(folder: Path, text: str, *, files: tuple[str, ...] = (), **request: object) -> Project:
    (folder / "compose.yaml").write_text(text)
    named = named_by({}, request.get("env_files", ()), str(folder))  # type: ignore[arg-type]
    snapshot = WorktreeSource(folder, files, named=named).read()
    return load(LoadRequest(cwd=str(folder), environment={}, files=files, **request), snapshot.files)  # type: ignore[arg-type]


USING = APP + "models: {llm: {model: 'evil/x:${KEY:-${extraheader:-none}}'}}\n"


@pytest.mark.parametrize(
    "text",
    [
        "include: [{path: inc.yaml, env_file: ../keys}]\n" + USING,
        "include: [{path: inc.yaml, env_file: /proc/self/environ}]\n" + USING,
        "include: [{path: inc.yaml, env_file: link}]\n" + USING,
        "include: [{path: inc.yaml, env_file: .git/config}]\n" + USING,
        "include: [../keys.yaml]\n" + USING,
        "include: [link/../../keys.yaml]\n" + USING,
        "services: {app: {extends: {file: ../keys.yaml, service: a}, image: x}}\n",
        "services: {app: {extends: {file: folder/keys.yaml, service: a}, image: x}}\n",
    ],
)
def test_nothing_outside_is_read_and_nothing_of_it_is_said(outside: Path, text: str) -> None:
    """In CI the text is that of a pull request, and the plan is printed where its author reads it."""
    repo = outside / "repo"
    (repo / "link").symlink_to("../keys")
    (repo / "folder").symlink_to("..")
    with pytest.raises(InputError, match=r"lies outside|git's own folder") as caught:
        read(repo, text)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["compose.yaml", ".env", "compose.override.yaml"])
def test_what_is_found_by_itself_may_be_no_link_out_of_the_checkout(outside: Path, name: str) -> None:
    repo = outside / "repo"
    (repo / "compose.yaml").write_text(APP + LLM)
    (repo / name).unlink(missing_ok=True)
    (repo / name).symlink_to(outside / "keys")
    snapshot = WorktreeSource(repo).read()
    with pytest.raises(InputError, match="lies outside"):
        load(LoadRequest(cwd=str(repo), environment={}), snapshot.files)


def test_an_env_file_of_the_repository_cannot_lead_elsewhere(outside: Path) -> None:
    (outside / "repo" / ".env").write_text("COMPOSE_FILE=../keys.yaml\n")
    with pytest.raises(InputError, match="lies outside"):
        read(outside / "repo", APP + LLM)


def test_a_path_with_a_nul_in_it_is_refused_where_it_is_written(outside: Path) -> None:
    """The operating system's own refusal of it is a ValueError, which nobody expects of a path."""
    (outside / "repo" / ".env").write_text('COMPOSE_FILE="a\\0000.yaml"\n')
    with pytest.raises(InputError, match=r"\.env:1:1: a value cannot contain U\+0000"):
        read(outside / "repo", APP + LLM)


def test_the_whole_checkout_is_inside(outside: Path) -> None:
    sub = outside / "repo" / "sub"
    sub.mkdir()
    found = read(sub, "include: [../inc.yaml]\n" + APP + LLM)
    assert f"{outside}/repo/inc.yaml" in found.files


def test_what_the_user_names_may_lie_anywhere(outside: Path) -> None:
    (outside / "compose.yaml").write_text(APP + LLM)
    found = read(outside / "repo", USING, env_files=("../keys",))
    assert found.models["llm"].model == f"evil/x:{SECRET}"
    (outside / "other.yaml").write_text("x-a: 1\n")
    named = (str(outside / "repo/compose.yaml"), str(outside / "other.yaml"))
    assert read(outside / "repo", APP + LLM, files=named).compose_files == named


def test_without_a_checkout_the_compose_files_folder_is_the_fence(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("KEY=x\n")
    plain = tmp_path / "plain"
    (plain / "deep").mkdir(parents=True)
    (plain / "inc.yaml").write_text("services: {inc: {image: x}}\n")
    (plain / "compose.yaml").write_text("include: [inc.yaml]\n" + APP + LLM)
    snapshot = WorktreeSource(plain / "deep").read()
    found = load(LoadRequest(cwd=str(plain / "deep"), environment={}), snapshot.files)
    assert found.working_dir == str(plain), "a file that is found above is read, and what lies beside it"
    with pytest.raises(InputError, match="lies outside"):
        read(plain, "include: [{path: inc.yaml, env_file: ../keys}]\n" + APP + LLM)


def test_a_home_folder_in_git_is_no_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".git").mkdir()
    (tmp_path / "keys").write_text("KEY=x\n")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "inc.yaml").write_text("services: {inc: {image: x}}\n")
    with pytest.raises(InputError, match="lies outside"):
        read(tmp_path / "app", "include: [{path: inc.yaml, env_file: ../keys}]\n" + APP + LLM)
