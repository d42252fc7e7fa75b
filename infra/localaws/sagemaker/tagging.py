"""What Resource Groups Tagging sees of hosting: everything with its tags, also the models and configurations that
Search does not know. The service itself is moto's, and asks moto's SageMaker."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from moto.core.resource_tagging import TaggedResource

from infra.localaws.sagemaker.hosting import Hosting
from infra.localaws.sagemaker.world import Region


def lend(hosting: Hosting, region: Region) -> None:
    """Let moto's SageMaker in this region tell of our things until the next reset."""
    backend = hosting.around.moto.backend("sagemaker", region.name)
    indexed = hosting.now() - timedelta(seconds=hosting.around.latencies.index_s)
    backend.iter_tagged_resources = lambda: _resources(region, indexed)


def _resources(region: Region, indexed: datetime) -> Iterator[TaggedResource]:
    """Everything that was there by the time up to which the index has come; what is gone since is gone here too."""
    for path, thing in region.things():
        if thing.created <= indexed:
            yield TaggedResource(thing.arn, dict(region.tags.get(thing.arn, {})), f"sagemaker:{path}")
