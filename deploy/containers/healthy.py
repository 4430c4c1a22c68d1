"""Does the service in this container serve? Its own health service is asked, as a peer would ask it.

So that a yes means: the port answers, certificates are good on both sides, and the service does not drain.
Stands alone, because it is started every few seconds: nothing of ours is imported.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

PATIENCE = 2.0  # seconds


def serving(listen: str, tls_dir: Path) -> bool:
    """Whether the service that listens on `host:port` of this container says SERVING."""
    key, chain, ca = ((tls_dir / name).read_bytes() for name in ("tls.key", "tls.crt", "ca.crt"))
    credentials = grpc.ssl_channel_credentials(ca, key, chain)
    with grpc.secure_channel(f"127.0.0.1:{listen.rpartition(':')[2]}", credentials) as channel:
        try:
            answer = HealthStub(channel).Check(HealthCheckRequest(), timeout=PATIENCE)
        except grpc.RpcError as error:
            print(error, file=sys.stderr)
            return False
    return bool(answer.status == HealthCheckResponse.SERVING)


if __name__ == "__main__":
    sys.exit(0 if serving(os.environ["CRAFIQ_LISTEN"], Path(os.environ["CRAFIQ_TLS_DIR"])) else 1)
