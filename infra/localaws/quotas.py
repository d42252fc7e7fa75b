"""Service Quotas: what a preflight asks before anything is refused. The figures are the limits of `supply.py`; where it
has none, a generous one is said, although a new account's for most GPUs is 0.

SageMaker's quotas are found by their names (`ml.g6.xlarge for endpoint usage`), EC2's by their codes, in vCPUs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from infra.localaws.calls import Call, service_model
from infra.localaws.errors import AwsError
from infra.localaws.overlay import Operation, Overlay

UNLIMITED = 1000.0
EC2 = {
    "L-1216C47A": "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
    "L-34B43A08": "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
    "L-DB2E81BA": "Running On-Demand G and VT instances",
    "L-3819A6DF": "All G and VT Spot Instance Requests",
    "L-417A185B": "Running On-Demand P instances",
    "L-7212CCBC": "All P4, P3 and P2 Spot Instance Requests",
}
SERVICES = {"ec2": "Amazon Elastic Compute Cloud (Amazon EC2)", "sagemaker": "Amazon SageMaker"}
MOST_PER_PAGE = 100


class Quotas(Overlay):
    """The quotas of EC2's instances and of SageMaker's endpoints, to be read."""

    def operations(self) -> Mapping[tuple[str, str], Operation]:
        return {
            ("service-quotas", "GetServiceQuota"): self._get,
            ("service-quotas", "GetAWSDefaultServiceQuota"): self._get,
            ("service-quotas", "ListServiceQuotas"): self._list,
            ("service-quotas", "ListAWSDefaultServiceQuotas"): self._list,
        }

    def _get(self, call: Call) -> Mapping[str, Any]:
        code = call.parameters["QuotaCode"]
        found = next((quota for quota in self._of(call) if quota["QuotaCode"] == code), None)
        if found is None:
            raise AwsError("NoSuchResourceException", "The request failed because the specified quota does not exist.")
        return {"Quota": found}

    def _list(self, call: Call) -> Mapping[str, Any]:
        said = call.parameters
        start = int(said.get("NextToken", "0"))
        end = start + min(int(said.get("MaxResults", MOST_PER_PAGE)), MOST_PER_PAGE)
        quotas = list(self._of(call))
        return {"Quotas": quotas[start:end]} | ({"NextToken": str(end)} if end < len(quotas) else {})

    def _of(self, call: Call) -> Iterator[dict[str, Any]]:
        """All quotas of the service that the call names."""
        service = call.parameters["ServiceCode"]
        if service not in SERVICES:
            raise AwsError("NoSuchResourceException", f"The request failed because {service} is not a known service.")
        for code, name, key in _rows(service):
            limit = self.around.supply.quota(key)
            yield {
                "ServiceCode": service,
                "ServiceName": SERVICES[service],
                "QuotaArn": f"arn:aws:servicequotas:{call.region}:{call.account}:{service}/{code}",
                "QuotaCode": code,
                "QuotaName": name,
                "Value": UNLIMITED if limit is None else float(limit),
                "Unit": "None",
                "Adjustable": True,
                "GlobalQuota": False,
            }


def _rows(service: str) -> Iterator[tuple[str, str, str]]:
    """Code, name and the key of the limit."""
    if service == "ec2":
        yield from ((code, name, code) for code, name in EC2.items())
        return
    for kind in service_model("sagemaker").shape_for("ProductionVariantInstanceType").enum:
        name = f"{kind} for endpoint usage"
        # AWS's own codes are as arbitrary and not in any model.
        yield f"L-{sha256(name.encode()).hexdigest()[:8].upper()}", name, kind
