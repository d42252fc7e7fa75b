"""The catalogue: complete, of one piece, and in its generated forms up to date."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from drivers import catalog
from drivers.base import Handling
from drivers.catalog.build import outputs
from drivers.llamacpp.options import IMPLEMENTED
from drivers.values import read, size

GPU_SIZES = {"cpu", "gpu-small", "gpu-medium", "gpu-large", "gpu-xlarge"}


@pytest.mark.parametrize("path", list(outputs()), ids=lambda path: path.name)
def test_generated_files_are_up_to_date(path) -> None:
    assert path.read_text(encoding="utf-8") == outputs()[path], "run `python -m drivers.catalog`"


def test_every_key_says_what_each_platform_makes_of_it() -> None:
    known = catalog.vocabulary()
    portable = [entry for entry in known.keys.values() if entry.key.startswith("cloud.")]
    assert len(portable) == 67, "a key that was once published is never taken away"
    for entry in portable:
        assert tuple(entry.handling) == known.columns, entry.key
        assert set(entry.how) <= set(known.columns), entry.key
        assert entry.about.endswith("."), entry.key


def test_translated_always_says_how() -> None:
    for entry in catalog.vocabulary().keys.values():
        translated = {name for name, handling in entry.handling.items() if handling is Handling.TRANSLATED}
        assert translated <= set(entry.how), entry.key


@pytest.mark.parametrize("entry", catalog.vocabulary().keys.values(), ids=lambda entry: entry.key)
def test_every_type_exists_and_a_default_that_is_a_value_can_be_read(entry: catalog.OptionEntry) -> None:
    with pytest.raises(ValueError):
        read(entry.type, "", entry.choices)
    words = ("the", "account", "gateway where", "(cloud)", "<KEY>", "none", "any")
    if entry.default and not any(word in entry.default for word in words):
        read(entry.type, entry.default, entry.choices)


def test_identity_bearing_keys_take_names_of_the_operators_settings() -> None:
    bearing = {
        "cloud.credentials",
        "cloud.hf-token-secret",
        "cloud.network",
        "cloud.subnets",
        "cloud.security-groups",
        "cloud.api-key-secret",
        "cloud.role",
        "cloud.kms-key",
    }
    keys = catalog.vocabulary().keys
    assert {key for key, entry in keys.items() if entry.operator} == bearing
    assert {keys[key].type for key in bearing} == {"operator-name", "operator-names"}


def test_no_key_leads_a_client_elsewhere() -> None:
    """An endpoint of one's own would be sent the credentials; it comes from the operator's settings alone."""
    assert not [key for key in catalog.vocabulary().keys if re.search(r"url|proxy|endpoint(?!-mode)", key)]


def test_platforms_are_recognised_by_their_shapes() -> None:
    known = catalog.platforms()
    regions = {
        "us-west-2": "aws",
        "us-gov-east-1": "aws",
        "ap-southeast-2": "aws",
        "us-central1": "gcp",
        "europe-west4": "gcp",
        "northamerica-northeast1": "gcp",
    }
    for region, provider in regions.items():
        assert [name for name, shape in known.regions.items() if re.fullmatch(shape, region)] == [provider]
    for provider, name in known.defaults.items():
        assert known.platforms[name].provider == provider


def test_every_friendly_size_exists_on_every_platform_that_rents_machines() -> None:
    known = catalog.platforms().platforms
    shared = catalog.platforms().shared_instances
    sizes = catalog.sizes()["sizes"]
    assert set(sizes) == GPU_SIZES
    for name, entry in sizes.items():
        for platform in ("aws-ec2", "aws-sagemaker", "gcp-gce", "gcp-vertex"):
            shape = known[shared.get(platform, platform)].instance
            assert entry[platform], (name, platform)
            assert all(re.fullmatch(shape, native) for native in entry[platform]), (name, platform)


def test_model_entries_are_complete_and_graded() -> None:
    matches = {"exact", "same-weights-other-quant", "family", "other"}
    for name, entry in catalog.models()["models"].items():
        assert entry["task"] in ("chat", "embedding"), name
        assert (entry["task"] == "embedding") == bool(entry.get("dim") or entry.get("dims")), name
        if "size" in entry:
            assert size(entry["size"]) > 0
        for offers in entry.get("managed", {}).values():
            assert all(offer["match"] in matches for by_size in offers.values() for offer in by_size), name
        assert entry["task"] == "chat" or "managed" not in entry, f"{name}: embeddings are never mapped"


def test_the_catalogue_and_the_local_driver_agree_on_what_is_honoured() -> None:
    assert catalog.platforms().platforms["llamacpp"].honoured == IMPLEMENTED


def test_a_users_data_lies_over_ours_key_by_key() -> None:
    users = {"sizes": {"gpu-small": {"aws-ec2": ["g5.xlarge"]}, "mine": {"aws-ec2": ["p5.48xlarge"]}}}
    merged = catalog.merge(catalog.sizes(), users)["sizes"]
    assert merged["gpu-small"]["aws-ec2"] == ["g5.xlarge"]
    assert merged["gpu-small"]["aws-sagemaker"] == catalog.sizes()["sizes"]["gpu-small"]["aws-sagemaker"]
    assert merged["mine"] == {"aws-ec2": ["p5.48xlarge"]}
    assert "mine" not in catalog.sizes()["sizes"]


def test_reading_the_catalogue_needs_no_yaml_parser() -> None:
    code = (
        "import json, sys; from drivers import catalog; "
        "catalog.vocabulary(); catalog.platforms(); catalog.sizes(); catalog.models(); "
        "print(json.dumps(sorted(name for name in ('yaml', 'importlib.metadata', 'difflib') if name in sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
