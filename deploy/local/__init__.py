"""The local runtime: the whole platform on one machine, from what the Python registry has.

`Infra` is the servers alone (PostgreSQL, NATS, S3); `Platform` is everything, as `make up` starts it.
"""

from deploy.local.infra import Infra

__all__ = ["Infra"]
