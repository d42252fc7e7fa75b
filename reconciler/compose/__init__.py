"""Compose text in, `Project` out: reads what `docker compose` 2.40.3 would read, as far as models are concerned.

    discover    which files, which directory, which variables (dotenv, environment)
    reader      bytes → nodes with places; refuses bombs, duplicate keys, foreign tags (screen, nodes, scalars)
    interpolate `${VAR}` in values
    extends     include     merge       many documents → one tree
    schema      what Compose itself refuses
    consistency profiles, undefined models and services, circles
    build       the tree → models, bindings, options (cloud_options, provider)

`load.py` strings them together and is the file to read first: `from reconciler.compose.load import LoadRequest, load`.
Nothing is imported here, because `reconcile --help` must not pay for a YAML parser. Pure: bytes come through
`files.Files`, the environment and the directory through `LoadRequest`. README.md lists where we are stricter than
Compose on purpose.
"""
