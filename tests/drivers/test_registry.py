"""All platforms are known by name; only those with a driver are ever imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from drivers import catalog, registry
from drivers.errors import Rejected


def _install(folder: Path, name: str) -> None:
    """A package with a driver of its own, as an installer would leave it."""
    (folder / "elsewhere.py").write_text("def make(**given):\n    return ('made', given)\n", encoding="utf-8")
    info = folder / "elsewhere-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{name} = elsewhere:make\n", encoding="utf-8")


def test_the_registry_and_the_catalogue_agree_on_what_is_available() -> None:
    available = {name for name, entry in catalog.platforms().platforms.items() if entry.available}
    assert available == set(registry.FACTORIES)


def test_a_platform_without_a_driver_says_so() -> None:
    with pytest.raises(Rejected, match="gcp-vertex is known, but its driver is not part of this release"):
        registry.constructor("gcp-vertex")
    with pytest.raises(Rejected, match="there is no platform azure; known are llamacpp,"):
        registry.create("azure")
    assert registry.absence("llamacpp") == ""


def test_a_driver_of_another_package_is_found_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, "somewhere")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert registry.is_available("somewhere")
    assert registry.create("somewhere", clock=1) == ("made", {"clock": 1})
    assert registry.outside_names() == ("somewhere",)
    line = next(line for line in registry.describe() if line.name == "somewhere")
    assert (line.available, line.origin) == (True, "elsewhere:make")


def test_another_package_may_bring_the_driver_of_a_known_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, "gcp-gce")
    monkeypatch.syspath_prepend(str(tmp_path))
    lines = [line for line in registry.describe() if line.name == "gcp-gce"]
    assert [(line.available, line.origin) for line in lines] == [(True, "elsewhere:make")]
    assert registry.absence("gcp-gce") == ""
    assert registry.outside_names() == (), "the catalogue has it"


def test_describe_lists_every_platform_once() -> None:
    lines = {line.name: line for line in registry.describe()}
    assert list(lines)[: len(registry.names())] == list(registry.names())
    assert lines["llamacpp"].available
    assert lines["llamacpp"].origin == "built in"
    assert lines["gcp-vertex"].origin == "not part of this release"
    assert lines["gcp-vertex"].options > lines["aws-bedrock"].options > 0


def test_a_plan_may_assume_that_a_cloud_costs_money() -> None:
    assert registry.assumed_capabilities("aws-sagemaker").billable
    assert not registry.assumed_capabilities("docker-model-runner").billable
    assert registry.assumed_capabilities("unheard-of").billable


def test_asking_what_exists_imports_no_driver_and_no_package_metadata() -> None:
    code = (
        "import json, sys; from drivers import registry; registry.names(); registry.is_available('llamacpp'); "
        "registry.assumed_capabilities('gcp-gce'); print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert not loaded & {"drivers.llamacpp", "drivers.llamacpp.driver", "importlib.metadata", "boto3", "google.cloud"}
