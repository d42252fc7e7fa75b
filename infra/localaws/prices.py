"""What things cost per hour, in US dollars: list prices of us-east-1 where they are known, else a rule of thumb.

A meter that must stand at zero after a destroy, and that rises with size and number, needs no more than that.
"""

from __future__ import annotations

LISTED = {
    "g4dn.xlarge": 0.526,
    "g5.xlarge": 1.006,
    "g5.2xlarge": 1.212,
    "g6.xlarge": 0.8048,
    "g6.2xlarge": 0.9776,
    "g6e.xlarge": 1.861,
    "g6e.12xlarge": 10.493,
    "p4d.24xlarge": 21.958,
    "p5.48xlarge": 55.04,
}
UNLISTED = 1.0
SAGEMAKER_SHARE = 1.4
"""By what SageMaker's instances are dearer than EC2's of the same name; for g5.xlarge that is its list price."""


def per_hour(instance_type: str) -> float:
    """Of one instance, of EC2 (`g6.xlarge`) or of SageMaker (`ml.g6.xlarge`)."""
    own = instance_type.removeprefix("ml.")
    price = LISTED.get(own, UNLISTED)
    return round(price * SAGEMAKER_SHARE, 4) if own != instance_type else price
