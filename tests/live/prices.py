"""What things cost at most, in US dollars: for the estimate before a run. What is not in here is refused, not guessed.

On-demand list prices for Linux in us-east-1, us-east-2 and us-west-2, as public cost estimators quote them from AWS's
price list (August 2026; most are in `infra/localaws/prices.py` as well). They were not read from AWS by us: compare
aws.amazon.com/ec2/pricing/on-demand and aws.amazon.com/sagemaker/ai/pricing, and mend the table, before a first run.
"""

from __future__ import annotations

from drivers import catalog

AS_OF = "2026-08"
PER_HOUR = {
    "c7i.large": 0.0893, "c7i.xlarge": 0.1785, "c7i.2xlarge": 0.357, "c7i.4xlarge": 0.714,
    "g4dn.xlarge": 0.526, "g5.xlarge": 1.006, "g5.2xlarge": 1.212, "g6.xlarge": 0.8048, "g6.2xlarge": 0.9776,
    "g6e.xlarge": 1.861,
}  # fmt: skip
SAGEMAKER_SHARE = 1.4
"""By what SageMaker's instances are dearer, at most: 1.4 for ml.g5.xlarge, less for those without GPU."""
REGIONS = {
    "us-east-1": 1.0, "us-east-2": 1.0, "us-west-2": 1.0, "eu-west-1": 1.25, "eu-central-1": 1.35, "eu-north-1": 1.25,
    "ap-northeast-1": 1.5, "ap-southeast-2": 1.5,
}  # fmt: skip
"""By what a region is dearer, rounded up."""
BESIDES_PER_HOUR = 0.06
"""Of one machine: a disk of 200 GB (0.022), a public address, logs."""
BALANCER_PER_HOUR = 0.03
QUESTION = 0.001
"""A question to a model of Bedrock's own: a thousand tokens of gpt-oss-120b cost 0.0006."""


class Unpriced(Exception):
    """Nobody knows what it would cost."""


def per_hour(word: str, region: str) -> float:
    """Of one instance, by its type (`c7i.large`, `ml.c7i.large`) or by a size of the catalogue on a platform
    (`aws-ec2/cpu`): then of the dearest that stands behind it. `balancer` is a load balancer. Raises Unpriced."""
    if region not in REGIONS:
        raise Unpriced(f"what region {region} costs is not in tests/live/prices.py: add it, with its source")
    if word == "balancer":
        return BALANCER_PER_HOUR * REGIONS[region]
    return max(_listed(native) for native in _natives(word)) * REGIONS[region] + BESIDES_PER_HOUR


def _natives(word: str) -> tuple[str, ...]:
    platform, slash, size = word.partition("/")
    if not slash:
        return (word,)
    found = catalog.sizes()["sizes"].get(size)
    if found is None:
        return (size,)
    return tuple(found[platform])


def _listed(native: str) -> float:
    own = native.removeprefix("ml.")
    if own not in PER_HOUR:
        raise Unpriced(f"what {native} costs is not in tests/live/prices.py: add it, with its source")
    return PER_HOUR[own] * (SAGEMAKER_SHARE if own != native else 1.0)
