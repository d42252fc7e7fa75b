"""What is shipped, what a start imports, and who may import whom."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.parts import CHECKOUT

HEAVY = ("boto3", "botocore", "google", "psycopg", "watchdog", "apscheduler", "sqlalchemy", "ssl", "http.client")
"""What neither `--help` nor a plan needs. Each costs more than the whole start may take."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel as `pip wheel` builds it, from a copy of what git knows, without asking a package index."""
    hatchling = pytest.importorskip("hatchling.build", reason="hatchling is not installed: run `make install`")
    folder = tmp_path_factory.mktemp("wheel")
    before = Path.cwd()
    os.chdir(CHECKOUT)
    try:
        name = hatchling.build_wheel(str(folder))
    finally:
        os.chdir(before)
    return zipfile.ZipFile(folder / name)


def test_the_wheel_holds_exactly_the_three_packages(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" not in name}
    assert tops == {"reconciler", "drivers", "state"}


def test_the_wheel_holds_every_file_of_the_packages_that_is_not_made(wheel: zipfile.ZipFile) -> None:
    known = _git("ls-files", "reconciler", "drivers", "state").splitlines()
    missing = set(known) - set(wheel.namelist())
    assert not missing


def test_the_wheel_brings_the_command_and_the_licence(wheel: zipfile.ZipFile) -> None:
    entries = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "reconcile = reconciler.cli:main" in wheel.read(entries).decode()
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    assert _heavy_after(["--help"], tmp_path) == []


def test_a_plan_imports_nothing_heavy(tmp_path: Path) -> None:
    file = CHECKOUT / "examples" / "quickstart" / "compose.yaml"
    assert _heavy_after(["-f", str(file), "--dry-run"], tmp_path) == []


def test_a_plan_for_a_cloud_imports_no_sdk(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    options = "x-cloud-options: [cloud.instance-type=gpu-small, cloud.region=us-west-2]"
    file.write_text(f"services: {{a: {{image: a, models: [m]}}}}\nmodels: {{m: {{model: ai/smollm2, {options}}}}}\n")
    assert _heavy_after(["-f", str(file), "--dry-run"], tmp_path) == []


def test_a_plan_writes_nothing(tmp_path: Path) -> None:
    before = _tree(tmp_path)
    _heavy_after(["-f", str(CHECKOUT / "examples" / "quickstart" / "compose.yaml"), "--dry-run"], tmp_path)
    assert _tree(tmp_path) == before


def test_import_contracts_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


def _heavy_after(arguments: list[str], home: Path) -> list[str]:
    """Run the command in a fresh interpreter and return which heavy modules it has imported at its end."""
    program = (
        "import json, sys\n"
        "from reconciler.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit:\n    pass\n"
        f"print('\\n' + json.dumps([name for name in {HEAVY!r} if name in sys.modules]))\n"
    )
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    heavy: list[str] = json.loads(done.stdout.splitlines()[-1])
    return heavy


def _tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout


def test_every_version_of_development_is_fixed() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    asked = [*project["dependency-groups"]["dev"], *project["project"]["dependencies"]]
    names = {re.split(r"[^A-Za-z0-9_.-]", line)[0].lower().replace("_", "-") for line in asked}
    lines = (CHECKOUT / "infra" / "constraints.txt").read_text().splitlines()
    fixed = {line.partition("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    assert names <= fixed
