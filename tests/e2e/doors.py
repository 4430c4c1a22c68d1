"""Every door of a platform on one machine, and what it says to somebody who has nothing to show.

Each has a name in `ports.json`. A knock is a plain HTTP request, TLS without a certificate, or bytes
that are no protocol; the answer is an HTTP status, else the first word, else nothing: it was shut.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path

from deploy.local import seaweed
from deploy.local.certs import client
from deploy.local.infra import SERVICES

RAW, TLS = "bytes", "TLS"
SECONDS, GREETING = 20.0, 1.0
"""How long an answer is waited for; and whether somebody speaks first."""
ALERT = b"\x15\x03"
"""How a TLS record begins that says nothing but no."""

SHUT = {"GET /": "", "GET /metrics": "", RAW: "", TLS: ""}
"""TLS, and only with a certificate that it trusts."""
SHUT_BY_GO = {**SHUT, "GET /": "400", "GET /metrics": "400"}
"""The same; who speaks HTTP to it is told that this is not how."""
ASKS = {RAW: "400", TLS: ""}
"""HTTP in the clear, and each request is looked at."""

DOORS: dict[str, dict[str, str]] = {
    # The one open door; what is behind it asks for tokens (test_security_matrix.py). Its administration is
    # a Unix socket that only its own user can open.
    "gateway": {
        **ASKS,
        "GET /v1/policy": "200",
        "GET /v1/accounts/me": "401",
        "GET /metrics": "404",
        "GET /config_dump": "404",
        "POST /quitquitquit": "404",
    },
    # gRPC for who has a certificate of ours, and then for whom the RPC is declared.
    **dict.fromkeys(SERVICES, SHUT),
    # Figures for who has a certificate of ours: services, the gateway, Prometheus, the operator.
    **{f"{name}.metrics": SHUT for name in SERVICES},
    # It greets with its version before TLS begins, as its protocol has it; nothing is taken before it has
    # seen a certificate, a name and a password.
    "nats": {"GET /": "INFO", "PING": "INFO", RAW: "INFO", TLS: ""},
    # Signed requests. Without: a public work, if its key is known, and whether it is there at all.
    "s3": {
        **ASKS,
        "GET /": "403",
        **{f"GET /{bucket}/": "403" for bucket in (*seaweed.BUCKETS, seaweed.LEDGER)},
        f"PUT /{seaweed.PUBLIC}/x": "403",
        f"DELETE /{seaweed.LEDGER}": "403",
        "GET /metrics": "403",
        "GET /healthz": "200",
    },
    # Storage's own parts, for who has its own certificate: itself and the operator.
    **{f"s3.{name}": SHUT_BY_GO for name in ("master", "filer", "admin")},
    **{f"s3.{name}.grpc": SHUT for name in seaweed.LISTENERS},
    # A token of storage's own for every read and write of what lies there. How many volumes there are, how
    # large, and of which bucket, it tells anybody: see docs/adr/0018.
    "s3.volume": {
        **ASKS,
        "GET /": "401",
        "GET /1,0123456789ab": "401",
        "POST /1,0123456789ab": "401",
        "DELETE /1,0123456789ab": "401",
        "GET /ui/index.html": "401",
        "GET /metrics": "401",
        "GET /debug/pprof/": "401",
        "GET /status": "200",
        "GET /healthz": "200",
    },
    # The stand-ins for the world outside, in development only: each call needs a key, a password, the token.
    "openai": {**ASKS, "GET /v1/models": "401", "GET /sandbox/stats": "401"},
    "stripe": {**ASKS, "GET /v1/customers/x": "401", "GET /sandbox/requests": "401"},
    "smtp": {"GET /": "220", RAW: "220", TLS: ""},
    "inbox": {**ASKS, "GET /": "404", "GET /messages": "404", "GET /x/messages": "404"},
}


def knock(port: int, how: str, shown: Path | None = None) -> str:
    """What a door says to this knock; behind TLS the certificate in the folder `shown` is shown."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as door:
        try:
            if how == TLS:
                return _behind_tls(door, client(shown) if shown else _nobody())
            request = f"{how} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
            door.sendall(bytes(range(32)) + b"\r\n\r\n" if how == RAW else request)
            return _word(door.recv(4096))
        except TimeoutError:
            return "silence"
        except OSError:  # closed in the middle of it
            return ""


def _nobody() -> ssl.SSLContext:
    """Whoever believes any server and shows nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _behind_tls(door: socket.socket, context: ssl.SSLContext) -> str:
    context.set_alpn_protocols(["h2", "http/1.1"])
    door.settimeout(GREETING)
    with contextlib.suppress(TimeoutError):
        door.recv(4096)  # NATS and mail say something first
    door.settimeout(SECONDS)
    with context.wrap_socket(door, server_hostname="localhost") as through:
        # With TLS 1.3 a client believes that it is in before the server has missed its certificate.
        through.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return _word(through.recv(4096))


def _word(said: bytes) -> str:
    if said.startswith(ALERT):
        return ""
    first, _, rest = said.decode("latin-1").partition(" ")
    return rest[:3] if first.startswith("HTTP/") else first.strip()
