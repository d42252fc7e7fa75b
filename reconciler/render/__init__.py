"""Endpoints to what services read: values for each service, the text of the override file and of the env files.

Pure: what it returns is written by `write.py`. `docker compose -f compose.yaml -f compose.models.yaml up` then starts
every service with its models' addresses and with no Docker Model plugin.

    grammar.py       what may stand in an environment
    network.py       how a service sees an endpoint
    environments.py  what each service is given
    text.py          the files

Nothing is imported here: every start checks the variables, few write a file.
"""
