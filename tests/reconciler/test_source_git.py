"""The commit is what is read: never the work tree, never a torn state, never a command of the repository's."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from reconciler.errors import InputError, SourceError
from reconciler.source.git import GitSource
from tests.reconciler.repositories import Repo


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "app")


def text(source: GitSource, name: str = "compose.yaml") -> str:
    snapshot = source.read()
    return snapshot.files.read(f"{snapshot.root}/{name}").decode()


def test_reads_the_commit_and_not_the_work_tree(repo: Repo) -> None:
    commit = repo.commit({"compose.yaml": "name: one\n", "sub/more.yaml": "a: 1\n"})
    (repo.path / "compose.yaml").write_text("name: half-writ")
    (repo.path / "new.yaml").write_text("x: 1\n")
    source = GitSource(str(repo.path))
    snapshot = source.read()
    root = str(repo.path)
    assert (snapshot.revision, snapshot.root) == (commit, root)
    assert snapshot.files.read(f"{root}/compose.yaml") == b"name: one\n"
    assert snapshot.files.read(f"{root}/sub/../sub/more.yaml") == b"a: 1\n"
    assert snapshot.files.is_file(f"{root}/compose.yaml")
    assert not snapshot.files.is_file(f"{root}/new.yaml")
    assert not snapshot.files.is_file(f"{root}/sub")
    with pytest.raises(FileNotFoundError):
        snapshot.files.read(f"{root}/new.yaml")
    with pytest.raises(FileNotFoundError):
        snapshot.files.read(f"{root}/compose.yaml/below")
    with pytest.raises(IsADirectoryError):
        snapshot.files.read(f"{root}/sub")
    source.close()


def test_head_changes_when_and_only_when_the_ref_moves(repo: Repo) -> None:
    first = repo.commit({"compose.yaml": "name: one\n"})
    source = GitSource(str(repo.path), "main")
    assert source.head() == first
    (repo.path / "compose.yaml").write_text("name: other\n")
    assert source.head() == first
    second = repo.commit({"compose.yaml": "name: two\n"})
    assert source.head() == second
    repo.git("pack-refs", "--all")
    assert not (repo.path / ".git/refs/heads/main").exists()
    assert source.head() == second
    third = repo.commit({"compose.yaml": "name: three\n"})
    assert source.head() == third
    assert text(source) == "name: three\n"
    source.close()


def test_an_old_snapshot_keeps_reading_its_own_commit(repo: Repo) -> None:
    repo.commit({"compose.yaml": "name: one\n", "more.yaml": "n: 1\n"})
    source = GitSource(str(repo.path))
    old = source.read()
    repo.commit({"compose.yaml": "name: two\n", "more.yaml": "n: 2\n"})
    new = source.read()
    assert new.files.read(f"{new.root}/more.yaml") == b"n: 2\n"
    assert old.files.read(f"{old.root}/more.yaml") == b"n: 1\n"
    source.close()


@pytest.mark.parametrize("kind", ["work tree", "linked work tree", "bare", "symbolic link to a release", "subfolder"])
def test_every_kind_of_checkout_is_read(tmp_path: Path, kind: str) -> None:
    repo = Repo(tmp_path / "app")
    commit = repo.commit({"compose.yaml": "name: top\n", "deploy/compose.yaml": "name: deploy\n"})
    checkout, subfolder, wanted = repo.path, "", "name: top\n"
    if kind == "linked work tree":
        repo.git("worktree", "add", "-q", "-b", "other", str(tmp_path / "linked"))
        checkout = tmp_path / "linked"
    elif kind == "bare":
        repo.git("clone", "-q", "--mirror", str(repo.path), str(tmp_path / "app.git"))
        checkout = tmp_path / "app.git"
    elif kind == "symbolic link to a release":
        checkout = tmp_path / "current"
        checkout.symlink_to(repo.path)
    elif kind == "subfolder":
        subfolder, wanted = "deploy", "name: deploy\n"
    source = GitSource(str(checkout), subfolder=subfolder)
    assert source.head() == source.read().revision == commit
    assert source.read().root == str(checkout / subfolder)
    assert text(source) == wanted
    source.close()


def test_a_checkout_inside_a_repository_reads_its_neighbours_but_nothing_outside(repo: Repo) -> None:
    repo.commit({"base.yaml": "b: 1\n", "deploy/compose.yaml": "name: deploy\n"})
    snapshot = GitSource(str(repo.path / "deploy")).read()
    assert snapshot.files.read(f"{snapshot.root}/../base.yaml") == b"b: 1\n"
    for path in (f"{snapshot.root}/../../base.yaml", "/etc/passwd", "/proc/self/environ"):
        with pytest.raises(InputError, match="outside the checkout"):
            snapshot.files.read(path)


def test_a_release_switched_by_a_symbolic_link_is_seen(tmp_path: Path) -> None:
    one, two = Repo(tmp_path / "r1"), Repo(tmp_path / "r2")
    one.commit({"compose.yaml": "name: one\n"})
    second = two.commit({"compose.yaml": "name: two\n"})
    current = tmp_path / "current"
    current.symlink_to(one.path)
    source = GitSource(str(current))
    assert text(source) == "name: one\n"
    (tmp_path / "next").symlink_to(two.path)
    os.replace(tmp_path / "next", current)
    assert source.head() == second
    assert text(source) == "name: two\n"
    source.close()


def test_annotated_tag_and_full_id_lead_to_their_commit(repo: Repo) -> None:
    first = repo.commit({"compose.yaml": "name: one\n"})
    repo.git("tag", "-a", "v1", "-m", "one")
    repo.commit({"compose.yaml": "name: two\n"})
    for ref in ("v1", "refs/tags/v1", first):
        assert GitSource(str(repo.path), ref).read().revision == first


def test_a_tag_cannot_take_over_the_name_of_a_branch(repo: Repo) -> None:
    first = repo.commit({"compose.yaml": "name: one\n"})
    second = repo.commit({"compose.yaml": "name: two\n"})
    repo.git("tag", "main", first)
    assert GitSource(str(repo.path), "main").head() == second


@pytest.mark.parametrize(
    "ref",
    [
        "--upload-pack=x",
        "-c",
        "a..b",
        "@{u}",
        "main@{1}",
        "a b",
        "a\nb",
        "main^",
        "HEAD~1",
        "a:b",
        "",
        "../x",
        "x.lock",
    ],
)
def test_only_names_are_refs(repo: Repo, ref: str) -> None:
    repo.commit({"compose.yaml": "name: one\n"})
    with pytest.raises(SourceError, match="not a ref"):
        GitSource(str(repo.path), ref)


def test_symbolic_links_and_submodules_are_refused(repo: Repo, tmp_path: Path) -> None:
    (repo.path / "compose.yaml").symlink_to("/etc/passwd")
    (repo.path / "folder").symlink_to("/etc")
    first = repo.commit({"real.yaml": "a: 1\n"})
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{first},module")
    repo.git("commit", "-q", "-m", "module")
    snapshot = GitSource(str(repo.path)).read()
    for name in ("compose.yaml", "folder/passwd"):
        with pytest.raises(InputError, match="is a symbolic link in the commit"):
            snapshot.files.read(f"{snapshot.root}/{name}")
    with pytest.raises(InputError, match="is a symbolic link in the commit"):
        snapshot.files.is_file(f"{snapshot.root}/compose.yaml")
    with pytest.raises(InputError, match="submodule"):
        snapshot.files.read(f"{snapshot.root}/module/compose.yaml")


def test_an_empty_compose_file_is_ignorance(repo: Repo) -> None:
    repo.commit({"compose.yaml": " \n", ".env": ""})
    snapshot = GitSource(str(repo.path)).read()
    with pytest.raises(SourceError, match="is empty"):
        snapshot.files.read(f"{snapshot.root}/compose.yaml")
    assert snapshot.files.read(f"{snapshot.root}/.env") == b""


def test_a_file_beyond_the_limit_is_refused_without_being_read(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.commit({"compose.yaml": "name: one\n", "huge.yaml": b"#" * 5000})
    monkeypatch.setattr("reconciler.source.git.LARGEST_FILE", 4096)
    snapshot = GitSource(str(repo.path)).read()
    with pytest.raises(SourceError, match="5000 bytes"):
        snapshot.files.read(f"{snapshot.root}/huge.yaml")
    assert snapshot.files.read(f"{snapshot.root}/compose.yaml") == b"name: one\n"


def test_missing_things_are_source_errors_and_recover(tmp_path: Path, repo: Repo) -> None:
    with pytest.raises(SourceError, match="is not there"):
        GitSource(str(tmp_path / "nowhere")).head()
    (tmp_path / "plain").mkdir()
    with pytest.raises(SourceError, match="not in a git repository"):
        GitSource(str(tmp_path / "plain")).read()
    with pytest.raises(SourceError, match="no commit yet"):
        GitSource(str(repo.path)).head()
    commit = repo.commit({"compose.yaml": "name: one\n"})
    repo.git("checkout", "-q", "-b", "feature")
    source = GitSource(str(repo.path), "feature")
    assert source.head() == commit
    repo.git("checkout", "-q", "main")
    repo.git("branch", "-q", "-D", "feature")
    for ask in (source.head, source.read):
        with pytest.raises(SourceError, match="there is no feature"):
            ask()
    repo.git("branch", "feature")
    assert text(source) == "name: one\n"
    with pytest.raises(SourceError, match="not a directory in commit"):
        GitSource(str(repo.path), subfolder="gone").read()


def test_a_damaged_repository_is_a_source_error_in_gits_own_words(repo: Repo) -> None:
    repo.commit({"compose.yaml": "name: one\n"})
    blob = repo.git("rev-parse", "HEAD:compose.yaml")
    damaged = repo.path / ".git/objects" / blob[:2] / blob[2:]
    damaged.chmod(0o644)
    damaged.write_bytes(b"not zlib")
    source = GitSource(str(repo.path))
    snapshot = source.read()
    with pytest.raises(SourceError, match=r"cannot be read: .*(incorrect header|corrupt|unable to unpack)"):
        snapshot.files.read(f"{snapshot.root}/compose.yaml")
    damaged.unlink()
    with pytest.raises(SourceError, match="missing"):
        snapshot.files.read(f"{snapshot.root}/compose.yaml")
    repo.git("hash-object", "-w", "--stdin", feed=b"name: one\n")
    assert snapshot.files.read(f"{snapshot.root}/compose.yaml") == b"name: one\n"
    (repo.path / ".git/refs/heads/main").write_text("garbage\n")
    with pytest.raises(SourceError, match="damaged"):
        source.head()
    source.close()


def test_a_truncated_pack_is_a_source_error(repo: Repo) -> None:
    repo.commit({"compose.yaml": "name: one\n", "random": os.urandom(4000)})
    repo.git("gc", "-q")
    (pack,) = (repo.path / ".git/objects/pack").glob("*.pack")
    pack.chmod(0o644)
    pack.write_bytes(pack.read_bytes()[:60])
    with pytest.raises(SourceError, match="cannot be read"):
        GitSource(str(repo.path)).read()


def test_rewritten_history_is_told_from_progress_and_from_ignorance(repo: Repo, tmp_path: Path) -> None:
    base = repo.commit({"compose.yaml": "name: one\n"})
    ahead = repo.commit({"compose.yaml": "name: two\n"})
    repo.git("reset", "-q", "--hard", base)
    rewritten = repo.commit({"compose.yaml": "name: forced\n"})
    source = GitSource(str(repo.path))
    assert source.is_descendant(base, ahead) is True
    assert source.is_descendant(base, base) is True
    assert source.is_descendant(ahead, rewritten) is False
    assert source.is_descendant("0" * 40, rewritten) is None
    assert source.is_descendant("worktree:abc", rewritten) is None
    repo.git("clone", "-q", "--depth", "1", f"file://{repo.path}", str(tmp_path / "shallow"))
    shallow = GitSource(str(tmp_path / "shallow"))
    assert shallow.read().revision == rewritten
    assert shallow.is_descendant(base, rewritten) is None


def test_nothing_of_a_hostile_repository_is_executed(repo: Repo, tmp_path: Path) -> None:
    repo.commit({"compose.yaml": "name: one\n", ".gitattributes": "* filter=evil diff=evil\n"})
    canary, script = tmp_path / "executed", tmp_path / "evil.sh"
    script.write_text(f"#!/bin/sh\necho $0 >> {canary}\n")
    script.chmod(0o755)
    blob = repo.git("rev-parse", "HEAD:compose.yaml")
    for key in ("core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "filter.evil.smudge"):
        repo.git("config", key, str(script))
    for key, value in {
        "core.hooksPath": str(tmp_path),
        "remote.origin.url": f"ext::sh -c {script}",
        "remote.origin.promisor": "true",
        "remote.origin.partialclonefilter": "blob:none",
        "remote.origin.uploadpack": str(script),
        "protocol.ext.allow": "always",
        "extensions.partialClone": "origin",
        "core.repositoryFormatVersion": "1",
        "diff.evil.textconv": str(script),
        "alias.cat-file": f"!{script}",
    }.items():
        repo.git("config", key, value)
    source = GitSource(str(repo.path))
    snapshot = source.read()
    assert snapshot.files.read(f"{snapshot.root}/compose.yaml") == b"name: one\n"
    assert source.is_descendant(snapshot.revision, "1" * 40) is None
    (repo.path / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(SourceError):  # a partial clone would fetch here, through the remote above
        GitSource(str(repo.path)).read().files.read(f"{snapshot.root}/compose.yaml")
    assert not canary.exists()


def test_replaced_objects_do_not_change_what_a_commit_says(repo: Repo) -> None:
    repo.commit({"compose.yaml": "name: one\n"})
    blob = repo.git("rev-parse", "HEAD:compose.yaml")
    other = repo.git("hash-object", "-w", "--stdin", feed=b"name: evil\n")
    repo.git("replace", blob, other)
    assert text(GitSource(str(repo.path))) == "name: one\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's repository")
def test_a_repository_of_another_user_is_read_only_when_trusted(repo: Repo) -> None:
    repo.commit({"compose.yaml": "name: one\n"})
    for path in (repo.path, *repo.path.rglob("*")):
        os.chown(path, 12345, 12345, follow_symlinks=False)
    with pytest.raises(SourceError, match="dubious ownership"):
        GitSource(str(repo.path)).read()
    assert text(GitSource(str(repo.path), trust_owner=True)) == "name: one\n"


def test_a_git_that_hangs_is_killed_with_its_children(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit({"compose.yaml": "name: one\n"})
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/sh\nsleep 600 &\necho $! > {tmp_path}/child\nwait\n")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    with pytest.raises(SourceError, match=r"within 0\.3 s"):
        GitSource(str(repo.path), timeout_s=0.3).read()
    child = int((tmp_path / "child").read_text())
    assert ended(child)


def ended(pid: int) -> bool:
    """Whether a process is gone within two seconds; one that init has yet to collect counts as gone."""
    limit = time.monotonic() + 2
    while time.monotonic() < limit:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        os.sched_yield()
    return False


def test_a_sha256_repository_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new"
    path.mkdir()
    subprocess.run(["git", "init", "-q", "-b", "main", "--object-format=sha256", str(path)], check=True, timeout=30)
    repo = Repo(path)
    commit = repo.commit({"compose.yaml": "name: one\n", "a/b": "x\n"})
    source = GitSource(str(path))
    assert len(commit) == 64
    assert source.head() == commit
    assert text(source, "a/b") == "x\n"
    source.close()


def test_no_reading_is_ever_torn_while_branches_flip(repo: Repo) -> None:
    """E8: 60 such flips gave a work-tree reader 748 missing and 41 empty files."""
    wanted = {}
    for branch in ("one", "two"):
        repo.git("checkout", "-q", "--orphan", branch)
        files: dict[str, str | bytes] = {f"part{n}.yaml": f"name: {branch}\n" for n in range(3)}
        wanted[repo.commit(files)] = f"name: {branch}\n".encode()
    stop = threading.Event()

    def flip() -> None:
        while not stop.is_set():
            repo.git("checkout", "-q", "one")
            repo.git("checkout", "-q", "two")

    flipper = threading.Thread(target=flip)
    flipper.start()
    source = GitSource(str(repo.path))
    seen: set[str] = set()
    try:
        for count in range(20_000):
            snapshot = source.read()
            seen.add(snapshot.revision)
            parts = {snapshot.files.read(f"{snapshot.root}/part{n}.yaml") for n in range(3)}
            assert parts == {wanted[snapshot.revision]}
            if count >= 2_000 and len(seen) == 2:
                break
    finally:
        stop.set()
        flipper.join()
        source.close()
    assert seen == set(wanted)
