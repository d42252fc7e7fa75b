"""A long-term Bedrock API key of the operator's, for clients that send one key and know no tokens.

It lies in a SecureString parameter of Systems Manager, which the settings name (`aws.secrets`), and in a private file
for the services of this host. The file is a copy, made anew where it was lost. Source:
docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html.
"""

from __future__ import annotations

from pathlib import Path

from drivers.aws.clients import Clients
from drivers.aws.errors import code_of, edge
from drivers.aws.keyfile import write_key
from drivers.aws.place import Place
from drivers.aws.settings import AwsSettings
from drivers.base import Deployment, ModelSpec
from drivers.errors import Denied

SECRET = "cloud.api-key-secret"


def wants_key(spec: ModelSpec) -> bool:
    """Whether clients are to send a key; without one they send the platform's own tokens."""
    return SECRET in spec.options and spec.options.get("cloud.auth", "api-key") == "api-key"


class Keys:
    """The copies below `settings.key_root`."""

    def __init__(self, settings: AwsSettings, clients: Clients) -> None:
        self._settings, self._clients = settings, clients

    def file(self, deployment: Deployment, place: Place) -> Path:
        """The file with the key in its first line, made if it is not there. Raises Denied where AWS has no such key."""
        path = self._path(deployment)
        if not path.exists():
            write_key(path, self._stored(deployment, place))
        return path

    def renew(self, deployment: Deployment, place: Place) -> None:
        """The file as AWS has the key now."""
        write_key(self._path(deployment), self._stored(deployment, place))

    def forget(self, deployment: Deployment) -> None:
        self._path(deployment).unlink(missing_ok=True)

    def _path(self, deployment: Deployment) -> Path:
        return self._settings.key_root.absolute() / "bedrock" / f"{deployment.name}.secret"

    def _stored(self, deployment: Deployment, place: Place) -> str:
        name = self._settings.entry("secrets", SECRET, deployment.spec)
        parameters = self._clients(place, "ssm").reads
        with edge(f"reading the parameter {name}"):
            try:
                found = parameters.get_parameter(Name=name, WithDecryption=True)
            except parameters.exceptions.ClientError as error:
                if code_of(error) == "ParameterNotFound":
                    raise Denied(f"there is no parameter {name}, which the settings name as a key") from error
                raise
        return str(found["Parameter"]["Value"]).strip()
