"""Puts the policies beside this file into the CloudFormation template: `python -m infra.aws.build`.

A policy is a file of its own, so that it can be read, reviewed and used without CloudFormation too; the template holds
a copy, because CloudFormation reads nothing from a disk.
"""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
TEMPLATE = HERE / "installation.yaml"


def policies() -> dict[str, str]:
    """The policy of each driver, by the last word of its platform's name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted((HERE / "policies").glob("*.json"))}


def built() -> str:
    """The template with the policies in it. JSON is YAML."""
    source = (HERE / "installation.in.yaml").read_text(encoding="utf-8")
    resources = [_resource(name, text) for name, text in policies().items()]
    head = "# Made from installation.in.yaml and policies/ by `python -m infra.aws.build`; change those.\n"
    return head + source.replace("POLICIES\n", "".join(resources))


def _resource(name: str, text: str) -> str:
    document = json.dumps(json.loads(text), separators=(", ", ": "))
    return (
        f"  {name.capitalize()}Policy:\n"
        "    Type: AWS::IAM::ManagedPolicy\n"
        "    Properties:\n"
        f"      ManagedPolicyName: compose-model-reconciler-{name}\n"
        f"      Description: What the driver of aws-{name} does\n"
        "      Roles: [!Ref ServiceRole]\n"
        f"      PolicyDocument: {document}\n"
    )


if __name__ == "__main__":
    TEMPLATE.write_text(built(), encoding="utf-8")
