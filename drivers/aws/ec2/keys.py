"""The key of a model: minted once, kept in Systems Manager for the machines and in a private file for clients.

All deployments of a model have the same key, each in a parameter of its own: a replacement changes nothing for whoever
uses the model, and a deployment is deleted with everything that is its own. The file is only a copy, made anew from the
parameter when it was lost.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from drivers.aws.ec2 import names
from drivers.aws.ec2.parameters import create_parameter, delete_parameter, parameter, parameters_below
from drivers.aws.ec2.platform import Platform
from drivers.aws.keyfile import write_key
from drivers.aws.settings import AwsSettings
from drivers.aws.tags import as_list, tags_of
from drivers.base import Deployment
from drivers.errors import Denied


class Keys:
    """The keys below `settings.key_root`. `mint` makes a new one."""

    def __init__(self, settings: AwsSettings, mint: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> None:
        self._settings, self._mint = settings, mint

    def file(self, deployment: Deployment) -> Path:
        """Where the local copy lies, whether it is there or not."""
        kind = "secret" if self._secret(deployment) else "key"
        return self._settings.key_root.absolute() / "ec2" / f"{names.key_file_name(deployment)}.{kind}"

    def provide(self, deployment: Deployment, platform: Platform) -> None:
        """See that both are there: the parameter, which the machines read, decides what is in the file."""
        if self._secret(deployment) is not None:
            self.renewed(deployment, platform)
            return
        own = names.key_parameter(deployment)
        stored = parameters_below(platform, names.key_folder(deployment))
        newest = stored[max(stored)] if stored else None
        key = stored.get(own) or newest or self._local(deployment) or self._mint()
        # Before the parameter: a key that only machines know would lock everybody out.
        self._write(deployment, key)
        if own not in stored and not create_parameter(platform, **self._request(deployment, key)):
            self.renewed(deployment, platform)

    def key(self, deployment: Deployment, platform: Platform) -> str | None:
        """What clients send; None where it is lost. Asks AWS only where the file is not there."""
        return self._local(deployment) or self.renewed(deployment, platform)

    def renewed(self, deployment: Deployment, platform: Platform) -> str | None:
        """The key as the parameter says it, also in the file from now on; None where there is no parameter any more."""
        key = self._remote(deployment, platform)
        if key is not None:
            self._write(deployment, key)
        return key

    def is_kept(self, deployment: Deployment, platform: Platform) -> bool:
        """Whether the deployment's own parameter is there; one of the operator's is not its own."""
        own = names.key_parameter(deployment)
        return self._secret(deployment) is None and parameter(platform, own, secret=False) is not None

    def forget(self, deployment: Deployment, platform: Platform) -> None:
        """Delete the deployment's parameter, and the file with the model's last one."""
        if self._secret(deployment) is None:
            delete_parameter(platform, names.key_parameter(deployment))
            if parameters_below(platform, names.key_folder(deployment)):
                return
        self.file(deployment).unlink(missing_ok=True)

    def _request(self, deployment: Deployment, key: str) -> dict[str, object]:
        request: dict[str, object] = {
            "Name": names.key_parameter(deployment),
            "Description": "The key that clients of this model send",
            "Value": key,
            "Type": "SecureString",
            "Tags": as_list(tags_of(deployment)),
        }
        kms = self._settings.entry("kms_keys", "cloud.kms-key", deployment.spec)
        return request | ({"KeyId": kms} if kms is not None else {})

    def _secret(self, deployment: Deployment) -> str | None:
        if "cloud.api-key-secret" not in deployment.spec.options:
            return None
        return self._settings.entry("secrets", "cloud.api-key-secret", deployment.spec)

    def _remote(self, deployment: Deployment, platform: Platform) -> str | None:
        secret = self._secret(deployment)
        found = parameter(platform, secret or names.key_parameter(deployment))
        if found is None and secret is not None:
            raise Denied(f"there is no parameter {secret}, which the settings name as a key (aws.secrets)")
        return found

    def _local(self, deployment: Deployment) -> str | None:
        try:
            return self.file(deployment).read_text(encoding="utf-8").strip() or None
        except FileNotFoundError:
            return None

    def _write(self, deployment: Deployment, key: str) -> None:
        if self._local(deployment) != key:
            write_key(self.file(deployment), key)
