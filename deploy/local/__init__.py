"""The local runtime: the whole platform on one machine, from what the Python registry has.

`infra.Infra` is the servers alone (PostgreSQL, NATS, S3), `launcher.Platform` is all that `make up` starts.
"""
