"""Endpoints to what services read: values for each service, the text of the override file and of the env files.

Pure: what it returns is written by `write.py`. `docker compose -f compose.yaml -f compose.models.yaml up` then starts
every service with its models' addresses and with no Docker Model plugin.

    grammar.py       what may stand in an environment
    network.py       how a service sees an endpoint
    environments.py  what each service is given
    text.py          the files
"""

from reconciler.render.environments import ServiceEnvironment, default_prefix, service_environments
from reconciler.render.network import HOST_GATEWAY, Caution
from reconciler.render.text import env_body, key_body, override_body

__all__ = [
    "HOST_GATEWAY",
    "Caution",
    "ServiceEnvironment",
    "default_prefix",
    "env_body",
    "key_body",
    "override_body",
    "service_environments",
]
