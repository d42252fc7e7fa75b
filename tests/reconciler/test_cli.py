"""The command line: which word is the command, exit codes, and one clear sentence for every mistake."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from reconciler.commands import _WITH_VALUE, COMMANDS, parse
from tests.reconciler.desk import COMPOSE, Desk

READING = (
    ["--dry-run"],
    ["--dry-run", "--refresh"],
    ["config"],
    ["validate"],
    ["explain", "llm"],
    ["render"],
    ["render", "--service", "app"],
    ["status"],
    ["status", "--refresh"],
    ["history"],
    ["logs", "llm"],
    ["token", "llm"],
    ["drivers"],
    ["doctor"],
    ["models", "ls"],
    ["destroy"],
    ["protect", "llm"],
    ["forget", "llm"],
    ["confirm", "--all"],
    ["recover"],
)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse([*([name] if name else []), "--help"])
    assert end.value.code == 0
    assert "usage: reconcile" in capsys.readouterr().out


def test_every_option_with_a_value_is_known_before_the_command() -> None:
    """`reconcile --limit 5 history`: the 5 is no command."""
    taking = set()
    for module in {module for module, _ in COMMANDS.values()} | {"up"}:
        parser = argparse.ArgumentParser()
        import_module(f"reconciler.commands.{module}").add_arguments(parser)
        taking |= {text for action in parser._actions if action.nargs is None for text in action.option_strings}
    assert taking - _WITH_VALUE == set()


@pytest.mark.parametrize(
    ("given", "command"),
    [
        (["-f", "status", "config"], "config"),
        (["-fstatus", "config"], "config"),
        (["--file=status", "config"], "config"),
        (["-p", "demo", "--profile", "gpu", "config"], "config"),
        (["-f", "-", "config"], "config"),
        (["config", "-f", "status"], "config"),
        (["--limit", "5", "history"], "history"),
        (["-n", "5", "logs", "llm"], "logs"),
        (["--dry-run"], ""),
        ([], ""),
    ],
)
def test_the_first_word_that_belongs_to_no_option_is_the_command(given: list[str], command: str) -> None:
    assert parse(given).arguments.command == command


def test_options_before_and_behind_the_command_mean_the_same() -> None:
    before, behind = parse(["-fa.yaml", "-p", "x", "config"]), parse(["config", "-f", "a.yaml", "--project-name=x"])
    assert vars(before.arguments) == vars(behind.arguments)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["statsu"], "did you mean 'status'"),
        (["--dry-rnu"], "--dry-rnu"),
        (["--", "status"], "status"),
        (["status", "--dry-run"], "--dry-run"),
        (["logs"], "MODEL"),
        (["models"], "pull|import|ls|rm"),
        (["--format", "xml", "--dry-run"], "xml"),
        (["history", "--limit", "0"], "is not a number from 1 to"),
        (["history", "--limit", "99999999999999999999"], "is not a number from 1 to"),
        (["logs", "llm", "-n", "-5"], "-5"),
    ],
)
def test_arguments_that_make_no_sense_are_an_error_and_not_pending_changes(
    desk: Desk, given: list[str], said: str
) -> None:
    """Exit code 2 belongs to --detailed-exitcode: a CI job with a misspelt option must not read "changes"."""
    done = desk.reconcile(*given)
    assert done.code == 1
    assert said in done.err


@pytest.mark.parametrize("option", ["--refresh", "--detailed-exitcode"])
def test_an_option_of_the_dry_run_does_not_act(desk: Desk, option: str) -> None:
    desk.compose()
    done = desk.reconcile(option)
    assert (done.code, done.out) == (1, "")
    assert f"{option} goes with --dry-run" in done.err
    assert not desk.state.exists()


@pytest.mark.parametrize("given", READING, ids=" ".join)
@pytest.mark.parametrize("broken", ["services: [", "", "services:\n  app:\n    image: {}\n", "\x00"])
def test_a_broken_compose_file_is_an_error_in_words_for_every_command(
    desk: Desk, given: list[str], broken: str
) -> None:
    desk.compose(broken)
    done = desk.reconcile(*given)
    assert done.code in (0, 1)
    assert len(done.err.splitlines()) <= 1
    assert done.err.startswith("error: ") or not done.err


@pytest.mark.parametrize("given", READING, ids=" ".join)
def test_without_any_file_every_command_says_so_or_does_without(desk: Desk, given: list[str]) -> None:
    done = desk.reconcile(*given)
    assert done.code in (0, 1)
    assert len(done.err.splitlines()) <= 1
    assert desk.everything().keys() == {str(desk.home), str(desk.work)}


@pytest.mark.parametrize("given", [["-f", "nowhere.yaml"], ["-f", "."], ["--project-directory", "nowhere"]])
def test_files_that_are_not_there_are_named(desk: Desk, given: list[str]) -> None:
    done = desk.reconcile(*given, "--dry-run")
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert given[-1] in done.err


def test_settings_that_are_not_there_are_named(desk: Desk) -> None:
    desk.compose()
    for command in (["--dry-run"], ["status"], ["doctor"], ["models", "ls"], ["serve"]):
        done = desk.reconcile("--config", "nowhere.yaml", *command)
        assert done.code == 1
        assert "nowhere.yaml" in done.err


@pytest.mark.parametrize("path", ["", "."])
def test_settings_that_are_no_file_are_an_error(desk: Desk, path: str) -> None:
    done = desk.reconcile("--config", path, "status")
    assert done.code == 1
    assert "cannot be read" in done.err


def test_a_file_that_may_not_be_read_is_named(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so the system's answer to others is put in its place."""

    def refused(path: str) -> bytes:
        raise PermissionError(13, "Permission denied", path)

    desk.compose()
    monkeypatch.setattr("reconciler.source.worktree.read_regular", refused)
    done = desk.reconcile("--dry-run")
    assert done.code == 1
    assert "compose.yaml" in done.err


@pytest.mark.parametrize("url", ["", "sqlite:", "mysql://x/y", "postgresql://x/y", "sqlite://host/x", "/dev/null", "."])
@pytest.mark.parametrize("given", [["--dry-run"], ["status"], ["protect", "llm"], ["--yes"]], ids=" ".join)
def test_a_state_that_cannot_be_one_is_an_error_in_words(desk: Desk, url: str, given: list[str]) -> None:
    desk.compose()
    done = desk.reconcile("--state", url, *given)
    assert done.code == 1
    assert done.err.startswith("error: ")


def test_nothing_is_started_on_a_record_that_ends_with_the_command(desk: Desk) -> None:
    desk.compose()
    done = desk.reconcile("--state", "memory:", "--quiet")
    assert done.code == 1
    assert "nobody would know of what it started" in done.err
    assert desk.reconcile("--state", "memory:", "--dry-run").code == 0


def test_the_standard_input_can_be_the_compose_file(desk: Desk) -> None:
    done = desk.started("-f", "-", "--dry-run", feed=COMPOSE.encode())
    assert done.returncode == 0, done.stderr
    assert b"llm" in done.stdout


def test_a_removed_current_directory_is_an_error_in_words(desk: Desk) -> None:
    gone = desk.folder / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    done = desk.reconcile("--dry-run")
    assert done.code == 1
    assert "current directory was removed" in done.err
    assert desk.reconcile("status").code == 0


# -- whole processes --------------------------------------------------------------------------------------------------


def test_a_reader_that_leaves_early_makes_no_noise(desk: Desk) -> None:
    """The output fits into the buffer: it is the flush at the end that fails, and nothing more may be said then."""
    desk.compose()
    for arguments in (["--help"], ["config"]):
        reading, writing = os.pipe()
        os.close(reading)
        with subprocess.Popen(desk.command(*arguments), stdout=writing, stderr=subprocess.PIPE) as process:
            os.close(writing)
            _, err = process.communicate(timeout=60)
        assert err == b""
        assert process.returncode in (0, 1)  # argparse keeps quiet about help that nobody read


def test_a_full_disk_behind_the_output_is_said(desk: Desk) -> None:
    desk.compose()
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(desk.command("config"), stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 1
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_terminal_without_our_characters_gets_an_answer_all_the_same(desk: Desk) -> None:
    done = desk.started("drivers", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert b"llamacpp" in done.stdout


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams_are_no_reason_to_fail(desk: Desk, closed: str) -> None:
    desk.compose()
    command = " ".join(desk.command("--dry-run"))
    assert subprocess.run(["sh", "-c", f"exec {command} {closed}"], capture_output=True, timeout=60).returncode == 0


def test_a_name_that_is_no_text_is_quoted_and_not_stumbled_over(desk: Desk) -> None:
    done = subprocess.run([*desk.command("-f"), b"\xff.yaml", "--dry-run"], capture_output=True, timeout=60)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert done.stderr.startswith(b"error: ")


def test_ctrl_c_ends_with_130_and_a_sentence(desk: Desk) -> None:
    def as_in_a_terminal() -> None:
        """What a shell starts in the background ignores Ctrl-C, and so would everything below it, these tests too."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "stdout": subprocess.PIPE}
    command = desk.command("-f", "-", "config")
    with subprocess.Popen(command, preexec_fn=as_in_a_terminal, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdin is not None
        _until_it_reads(process.pid)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in err


def _until_it_reads(pid: int) -> None:
    """Until the process waits in a read of its standard input; the kernel says so."""
    import time

    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        call = Path(f"/proc/{pid}/syscall").read_text(encoding="ascii").split()
        if call[0] in ("0", "63") and call[1:2] == ["0x0"]:  # read(0, …) on x86-64 and on the others
            return
        time.sleep(0.01)
    raise AssertionError("it never read its input")
