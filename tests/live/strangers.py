"""Somebody else's things under names of ours, made by a test on purpose: they carry none of our tags and cost nothing,
and only the journal knows that they may be removed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from tests.live.ground import Account
from tests.live.journal import Stranger


def put_stranger(account: Account, stranger: Stranger) -> None:
    """Make something under a name of ours that carries no tags of ours, and costs nothing."""
    client = _client(account, stranger)
    if stranger.kind == "launch template":
        client.create_launch_template(LaunchTemplateName=stranger.name, LaunchTemplateData={"InstanceType": "t3.nano"})
    elif stranger.kind == "model":
        image = f"763104351884.dkr.ecr.{stranger.region}.amazonaws.com/llama-cpp:server-sagemaker-cpu-v1"
        role = account.settings.roles["default"]
        client.create_model(ModelName=stranger.name, PrimaryContainer={"Image": image}, ExecutionRoleArn=role)
    else:
        source = f"arn:aws:bedrock:{stranger.region}::foundation-model/openai.gpt-oss-20b-1:0"
        client.create_inference_profile(inferenceProfileName=stranger.name, modelSource={"copyFrom": source})


def stranger_now(account: Account, stranger: Stranger) -> str | None:
    """All that AWS says of it, as text; None where it is gone."""
    client = _client(account, stranger)
    try:
        if stranger.kind == "launch template":
            said: Any = client.describe_launch_templates(LaunchTemplateNames=[stranger.name])["LaunchTemplates"]
        elif stranger.kind == "model":
            said = client.describe_model(ModelName=stranger.name)
        else:
            said = [one for one in _profiles(client) if one["inferenceProfileName"] == stranger.name] or None
    except client.exceptions.ClientError:
        return None
    if isinstance(said, dict):
        said.pop("ResponseMetadata", None)
    return None if said is None else repr(said)


def remove_stranger(account: Account, stranger: Stranger) -> None:
    """Ask for its removal; gone is fine."""
    client = _client(account, stranger)
    with suppress(client.exceptions.ClientError):  # what is still there the census shows
        if stranger.kind == "launch template":
            client.delete_launch_template(LaunchTemplateName=stranger.name)
        elif stranger.kind == "model":
            client.delete_model(ModelName=stranger.name)
        else:
            for one in _profiles(client):
                if one["inferenceProfileName"] == stranger.name:
                    client.delete_inference_profile(inferenceProfileIdentifier=one["inferenceProfileArn"])


def _profiles(client: Any) -> list[dict[str, Any]]:
    pages = client.get_paginator("list_inference_profiles").paginate(typeEquals="APPLICATION")
    return [one for page in pages for one in page["inferenceProfileSummaries"]]


def _client(account: Account, stranger: Stranger) -> Any:
    service = {"launch template": "ec2", "model": "sagemaker"}.get(stranger.kind, "bedrock")
    place = account.places[0]._replace(region=stranger.region)
    return account.clients(place, service).calls
