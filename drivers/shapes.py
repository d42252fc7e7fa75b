"""The shapes of option values that stay text: names, ids, references. A pattern each, and what to say otherwise.

They are narrow on purpose: such a value ends up in a request, a path or an argument list, and a repository that is
being reconciled is not trusted with blanks, options or credentials in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple


class Shape(NamedTuple):
    """A text fits when all of it matches `pattern` and its beginning does not match `never`.

    Patterns are texts, compiled when first used: a start should not pay for shapes that no option has.
    """

    pattern: str
    wrong: str
    never: str = ""
    quiet: bool = False
    """A text that does not fit may be a secret in the wrong place: it is not repeated in messages."""

    def fits(self, text: str) -> bool:
        return bool(re.fullmatch(self.pattern, text)) and not (self.never and re.match(self.never, text))


_OPERATOR = (
    "is not a name of the operator's settings (lower-case letters, digits, hyphens); "
    "ids, ARNs and keys themselves stay out of the repository"
)

SHAPES: Mapping[str, Shape] = {
    "name": Shape(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", "is not a name: letters, digits, dots, hyphens, underscores"),
    # A native id is also made of lower-case letters, digits and hyphens; it must not pass for a name.
    "operator-name": Shape(
        r"[a-z][a-z0-9-]{0,62}",
        _OPERATOR,
        r"(?:(?:subnet|sg|vpc|eni|acl|rtb)-[0-9a-f]{8,17}|mrk-[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
        r"|hf-[a-z0-9]{30,}|sk-[a-z0-9-]{20,})$",
        quiet=True,
    ),
    "region": Shape(
        r"[a-z]{2,12}(?:-[a-z]{2,12}){0,3}-?[0-9]{0,2}", "is not a region: write us-west-2, us-central1 or a list"
    ),
    "platform": Shape(
        r"llamacpp|docker-model-runner|aws-bedrock|aws-sagemaker|aws-ec2|gcp-vertex|gcp-gce|external",
        "is not a platform: llamacpp, docker-model-runner, aws-bedrock, aws-sagemaker, aws-ec2, gcp-vertex, gcp-gce, "
        "external",
    ),
    "instance-type": Shape(
        r"auto|[a-z][a-z0-9]*(?:[.-][a-z0-9]+){0,4}",
        "is not an instance type: write a friendly size (cpu, gpu-small …) or a native type",
    ),
    "throughput": Shape(
        r"on-demand|batch|provisioned:[1-9][0-9]{0,3}", "is not a throughput: on-demand, provisioned:N or batch"
    ),
    "inference-profile": Shape(
        r"auto|none|us|eu|apac|global|arn:aws[a-z-]*:bedrock:[a-z0-9-]*:[0-9]{0,12}:"
        r"(?:application-)?inference-profile/[A-Za-z0-9._:-]{1,128}",
        "is not an inference profile: auto, none, us, eu, apac, global or an inference profile's ARN",
    ),
    "image": Shape(
        r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*"
        r"(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(?:@sha256:[0-9a-f]{64})?",
        "is not a container image reference without user name and password",
        quiet=True,
    ),
    "model-id": Shape(
        r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}", "is not a model id", r".*(?:\.\./|/\.\.|//)|[a-z][a-z0-9+.-]*://"
    ),
    "model-source": Shape(
        r"(?:oci|hf|s3|gs)://[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}|file:///[A-Za-z0-9][A-Za-z0-9._/-]{0,511}",
        "is not a source of weights: oci://, hf://, s3://, gs:// or file:///, without user name and password",
        r"[a-z0-9]+://(?:[^/]*:[^/]*@|.*\.\./|.*/\.\.)",
        quiet=True,
    ),
    "revision": Shape(
        r"sha256:[0-9a-f]{64}|[0-9a-f]{7,64}", "is not a revision: sha256: and 64 hex digits, or a commit's hex digits"
    ),
    "cache": Shape(
        r"none|disk|(?:s3|gs)://[a-z0-9][a-z0-9._/-]{1,255}", "is not a cache: none, disk, s3://… or gs://…"
    ),
    "path": Shape(r"/[A-Za-z0-9._~/-]{0,255}", "is not a path: write /health", r".*/\.\.(?:/|$)|//"),
    "cidr": Shape(
        r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}|[0-9a-fA-F:]{2,39}/[0-9]{1,3}",
        "is not a network: write 10.0.0.0/8 or fd00::/8",
    ),
    "variable": Shape(
        r"[A-Z_][A-Z0-9_]{0,127}",
        "is not a variable a service may be given: capitals, digits, underscores, and none that steers a program",
        r"(?:PATH|BASH_ENV|ENV|IFS|NODE_OPTIONS)$|LD_|DYLD_|PYTHON|DOCKER_|LLAMA_ARG_",
    ),
    "guardrail": Shape(
        r"[a-z0-9]{1,64}:(?:[0-9]{1,8}|DRAFT)", "is not a guardrail: write id:version, as in abc123def456:1"
    ),
    "adopt": Shape(
        r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,255}|https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?",
        "is not an endpoint's or instance's id, nor an http(s) URL without user name and password",
        r"(?!https?://)[a-z][a-z0-9+.-]*://",
        quiet=True,
    ),
}
