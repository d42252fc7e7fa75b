"""The main job, for real, in under three minutes: from a git commit to a model that answers, and on to the next one.

    a repository from examples/quickstart → `reconcile serve` → a commit → a real llama-server with the real SmolLM2
    → a completion as the service asks for it → another commit, replaced while requests go on → nothing left running

`--keep` leaves the folder of the demonstration, with all logs, where it is.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from infra.demo.screen import Screen
from infra.lab import CHECKOUT, PARTS, Lab, NotInTime, Service, complete, wait_for

EXAMPLE = CHECKOUT / "examples" / "quickstart"
ENGINE = CHECKOUT / "infra" / "engine" / "engine.sh"
IMAGE = "local/reconciler-test-app"
GGUF = Path(os.environ.get("RECONCILE_TEST_MODEL", PARTS / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"))
PROMPT = "Name the capital of France."
OWNER = f"demo-{os.getpid()}"
PAUSE_S = 0.05
"""Between two requests: with none, two servers would fight over two cores, and that is not the point here."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave the folder with the logs")
    parser.add_argument("--no-docker", action="store_true", help="ask from this host only, not from a container")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whichever way it ends, it tidies up
    screen = Screen()
    folder = Path(tempfile.mkdtemp(prefix="reconcile-demo-"))
    try:
        done = _run(screen, folder, docker=not arguments.no_docker)
    except (NotInTime, OSError, subprocess.CalledProcessError) as trouble:
        screen.trouble(str(trouble), folder / "serve.log")
        done = False
    finally:
        _stop_engine()
    if arguments.keep or not done:
        screen.note(f"everything of this run lies in {folder}")
    else:
        shutil.rmtree(folder)
    return 0 if done else 1


def _run(screen: Screen, folder: Path, *, docker: bool) -> bool:
    engine = _start_engine(screen) if docker else None
    lab = Lab(folder, os.environ | (engine or {}), settings={"timing": {"poll_interval": "2s", "local_bake": "3s"}})
    lab.environment.update({"APP_IMAGE": IMAGE}, **(engine or {}))
    try:
        _prepare(screen, lab)
        with lab.serve() as service:
            _first_commit(screen, lab)
            if engine is not None:
                _from_a_container(screen, lab)
            good = _second_commit(screen, lab)
            _clean_up(screen, lab, service)
    finally:
        lab.clean_up()
    left = lab.servers()
    screen.step("what is left running")
    screen.fact("model servers", str(len(left)), good=not left)
    screen.summary()
    return good and not left


def _prepare(screen: Screen, lab: Lab) -> None:
    screen.step("a git repository with examples/quickstart, without its model as yet")
    lab.start_repository(EXAMPLE)
    compose = (lab.repository / "compose.yaml").read_text(encoding="utf-8")
    screen.shell("reconcile models import SmolLM2-135M-Instruct.Q4_1.gguf --as ai/smollm2")
    _checked(lab.reconcile("--config", str(lab.configuration), "models", "import", str(GGUF), "--as", "ai/smollm2"))
    # The first version has the service alone: the commit that brings the model is the first thing to be seen.
    without = compose.partition("\nmodels:")[0].replace("    models:\n      - llm", "    #models:\n    #  - llm")
    (lab.repository / "compose.yaml").write_text(without + "\n", encoding="utf-8")
    lab.commit("The service, without a model")
    (lab.repository / "compose.yaml").write_text(compose, encoding="utf-8")


def _first_commit(screen: Screen, lab: Lab) -> None:
    screen.step("the service starts: reconcile serve --config reconciler.yaml")
    wait_for("the service reads the repository", lambda: _says(lab, "following"), within_s=20)
    _show_plan(screen, lab)
    started = time.monotonic()
    screen.shell(f"git commit   → {lab.commit('Ask ai/smollm2')}")
    server = wait_for("a llama-server of ours", lab.servers, within_s=30)[0]
    screen.fact("llama-server started", f"pid {server.pid}, {time.monotonic() - started:.2f} s after the commit")
    values = wait_for("the endpoint is written", lambda: _complete_values(lab), within_s=60)
    screen.fact("endpoint written", f"{time.monotonic() - started:.2f} s after the commit")
    screen.text(lab.override.read_text(encoding="utf-8"))
    screen.step("a real completion, with nothing but the variables of the service")
    for name in ("LLM_URL", "LLM_MODEL"):
        screen.fact(name, values[name])
    screen.fact("the model says", complete(values, PROMPT, tokens=24).strip())


def _show_plan(screen: Screen, lab: Lab) -> None:
    screen.shell("reconcile --dry-run")
    screen.text(_checked(lab.reconcile("--config", str(lab.configuration), "--dry-run")))


def _from_a_container(screen: Screen, lab: Lab) -> None:
    screen.step("the same from a container, over the bridge network, with no Docker Model plugin")
    screen.shell("docker compose -f compose.yaml -f compose.models.yaml run --rm app")
    files = ["-f", "compose.yaml", "-f", str(lab.override)]
    compose = [str(PARTS / "bin" / "docker-compose"), "--ansi", "never", "--progress", "quiet", *files]
    try:
        done = subprocess.run(
            [*compose, "run", "--rm", "-T", "app"],
            cwd=lab.repository,
            env=lab.environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        screen.text(done.stdout.strip()[:300])
    finally:
        subprocess.run([*compose, "down"], cwd=lab.repository, env=lab.environment, capture_output=True, timeout=60)


def _second_commit(screen: Screen, lab: Lab) -> bool:
    screen.step("another context size, while requests go on")
    before = {server.deployment for server in lab.servers()}
    with Requests(lab) as requests:
        wait_for("the first request", lambda: requests.sent >= 1, within_s=30)
        lab.edit("compose.yaml", "context_size: 1024", "context_size: 2048")
        _show_plan(screen, lab)
        started = time.monotonic()
        screen.shell(f"git commit   → {lab.commit('A larger context')}")
        old_url = lab.values("quickstart", "app")["LLM_URL"]
        wait_for("the switch", lambda: lab.values("quickstart", "app").get("LLM_URL") != old_url, within_s=60)
        screen.fact("switched", f"{time.monotonic() - started:.2f} s after the commit, the old one still runs")
        wait_for("the old server goes", lambda: not before & {s.deployment for s in lab.servers()}, within_s=60)
        screen.fact("the old server ended", f"{time.monotonic() - started:.2f} s after the commit")
        after = requests.sent
        wait_for("requests to the new one", lambda: requests.sent >= after + 3, within_s=30)
    screen.fact("requests sent", str(requests.sent))
    screen.fact("requests failed", f"{len(requests.failed)} {'; '.join(requests.failed[:2])}", good=not requests.failed)
    return not requests.failed


def _clean_up(screen: Screen, lab: Lab, service: Service) -> None:
    screen.step("the end: the service stops, its model goes")
    screen.fact("reconcile serve ended with", str(service.stop()))
    screen.fact("its model server runs on", f"{len(lab.servers())} (it outlives the reconciler)")
    screen.shell("reconcile destroy --yes")
    _checked(lab.reconcile("--config", str(lab.configuration), "-p", "quickstart", "destroy", "--yes"))
    wait_for("the model server ends", lambda: not lab.servers(), within_s=30)


class Requests:
    """A client that goes on asking. It reads its variables before each request, as a service does that starts anew."""

    def __init__(self, lab: Lab) -> None:
        self.sent = 0
        self.failed: list[str] = []
        self._lab = lab
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="requests")

    def __enter__(self) -> Requests:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._end.is_set():
            try:
                complete(self._lab.values("quickstart", "app"), PROMPT, tokens=8)
            except (OSError, ValueError, KeyError) as trouble:
                self.failed.append(repr(trouble))
            self.sent += 1
            self._end.wait(PAUSE_S)


def _start_engine(screen: Screen) -> Mapping[str, str] | None:
    """What a command needs to reach a Docker engine; None, said on screen, where there is none to be had."""
    if shutil.which("docker") is None:
        screen.note("no docker command: the completion is asked for from this host only")
        return None
    started = subprocess.run(["bash", str(ENGINE), "start", OWNER], capture_output=True, text=True)
    if started.returncode != 0:
        screen.note(f"{started.stderr.strip()}: the completion is asked for from this host only")
        return None
    reached = dict(line.split("=", 1) for line in started.stdout.splitlines())
    subprocess.run(["bash", str(ENGINE), "image"], env=os.environ | reached, check=True)
    return reached


def _stop_engine() -> None:
    subprocess.run(["bash", str(ENGINE), "stop", OWNER], check=False)


def _complete_values(lab: Lab) -> dict[str, str] | None:
    values = lab.values("quickstart", "app")
    written = lab.override.read_text(encoding="utf-8") if lab.override.exists() else ""
    return values if {"LLM_URL", "LLM_MODEL"} <= values.keys() and "LLM_URL" in written else None


def _says(lab: Lab, text: str) -> bool:
    return lab.log.exists() and text in lab.log.read_text(encoding="utf-8", errors="replace")


def _checked(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode != 0:
        raise OSError(f"{' '.join(done.args[1:])} ended with {done.returncode}: {done.stderr.strip() or done.stdout}")
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
