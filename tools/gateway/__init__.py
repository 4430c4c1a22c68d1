"""The gateway's configuration, derived from the protos: nothing in it is listed by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tools.gateway.bootstrap import Place, bootstrap
from tools.gateway.descriptors import filtered
from tools.gateway.surface import outside, parse

__all__ = ["build", "command"]
# What tools.openapi makes of the same protos.
DOCUMENT = Path(__file__).resolve().parents[2] / "deploy" / "gateway" / "openapi.json"


def command(config: Path, *, workers: int = 1) -> list[str]:
    """How to start Envoy on what `build` wrote; `workers` are its threads.

    With hot restart Envoy ends together with the shell that started it. Its first fetch of keys
    always fails, because it comes through a listener that is just opening, and is repeated.
    """
    envoy = Path(sys.executable).parent / "envoy"
    return [
        str(envoy), "-c", str(config), "--concurrency", str(workers), "--disable-hot-restart",
        "-l", "warning", "--component-log-level", "jwt:error", "--file-flush-interval-msec", "500",
    ]  # fmt: skip


def build(  # noqa: PLR0913 - one place says all that a gateway needs
    descriptor_set: bytes,
    *,
    listen_port: int,
    upstreams: dict[str, str],
    tls_dir: Path,
    out_dir: Path,
    origins: list[str],
    admin_port: int | None = None,
    tls_port: int | None = None,
    metrics_port: int | None = None,
    listen_host: str = "127.0.0.1",
    limit_factor: int = 1,
    s3: str | None = None,
) -> Path:
    """Write `envoy.json` and what it refers to into `out_dir`; answers the path of the first.

    descriptor_set: gen/crafiq.binpb. For the rest see `Place`. Start it with `command`. Raises
    ValueError when the protos and the arguments make no gateway: an upstream that is missing, two
    templates for the same path, a folder too deep for a Unix socket.
    """
    place = Place(
        listen_host=listen_host, listen_port=listen_port, upstreams=upstreams, tls_dir=tls_dir.resolve(),
        admin_port=admin_port, tls_port=tls_port, metrics_port=metrics_port, out_dir=out_dir.resolve(),
        origins=origins, limit_factor=limit_factor, s3=s3,
    )  # fmt: skip
    files = parse(descriptor_set)
    place.out_dir.mkdir(parents=True, exist_ok=True)
    place.descriptor.write_bytes(filtered(files).SerializeToString(deterministic=True))
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    place.document.write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")
    config = place.out_dir / "envoy.json"
    config.write_text(json.dumps(bootstrap(outside(files), place), indent=1), encoding="utf-8")
    return config
