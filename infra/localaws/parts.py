"""The parts of the cloud that answer calls themselves, in the order in which they are asked. Add yours here."""

from __future__ import annotations

from infra.localaws.bedrock.overlay import Bedrock
from infra.localaws.ec2.overlay import Ec2
from infra.localaws.overlay import Overlay
from infra.localaws.quotas import Quotas
from infra.localaws.sagemaker.overlay import SageMaker

PARTS: tuple[type[Overlay], ...] = (SageMaker, Ec2, Quotas, Bedrock)
