"""Puts the policies of `iam/` into the CloudFormation template: `python -m infra.aws.build`.

A policy is a file of its own, so that it can be read, reviewed and used without CloudFormation too; the template holds
a copy, because CloudFormation reads nothing from a disk. What the name of a file ends with says whose policy it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
TEMPLATE = HERE / "installation.yaml"
ROLES: Mapping[str, str] = {"": "ServiceRole", "-machine": "MachineRole", "-endpoint": "EndpointRole"}
"""End of a policy's name to the role that gets it: the reconciler's own, that of machines, that of endpoints."""


def policies(kind: str = "") -> dict[str, str]:
    """The policies that one role gets, by the driver's name."""
    found = {path.stem: path.read_text(encoding="utf-8") for path in sorted((HERE / "iam").glob("*.json"))}
    return {name: text for name, text in found.items() if _kind(name) == kind}


def built() -> str:
    """The template with the policies in it. JSON is YAML."""
    source = (HERE / "installation.in.yaml").read_text(encoding="utf-8")
    resources = [_resource(name, text, ROLES[kind]) for kind in ROLES for name, text in policies(kind).items()]
    head = "# Made from installation.in.yaml and iam/ by `python -m infra.aws.build`; change those.\n"
    return head + source.replace("POLICIES\n", "".join(resources))


def _kind(name: str) -> str:
    return next((kind for kind in ROLES if kind and name.endswith(kind)), "")


def _resource(name: str, text: str, role: str) -> str:
    document = json.dumps(json.loads(text), separators=(", ", ": "))
    words = name.split("-")
    return (
        f"  {''.join(word.capitalize() for word in words)}Policy:\n"
        "    Type: AWS::IAM::ManagedPolicy\n"
        "    Properties:\n"
        f"      ManagedPolicyName: compose-model-reconciler-{name}\n"
        f"      Description: What aws-{words[0]} needs\n"
        f"      Roles: [!Ref {role}]\n"
        f"      PolicyDocument: {document}\n"
    )


if __name__ == "__main__":
    TEMPLATE.write_text(built(), encoding="utf-8")
