"""The local platform: one llama-server process per deployment, in its own session, found again after any crash.

`driver` answers the contract of `drivers.base`; `rundir` is the platform's memory (a folder per deployment), `process`
its hands, `command` what a spec means to llama-server, `memory` whether it fits.
"""
