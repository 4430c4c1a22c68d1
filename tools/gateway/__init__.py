"""The gateway's configuration, derived from the protos: nothing in it is listed by hand."""

from __future__ import annotations

import json
from pathlib import Path

from tools.gateway.bootstrap import Place, bootstrap
from tools.gateway.descriptors import filtered
from tools.gateway.surface import outside, parse

__all__ = ["build"]


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
    listen_host: str = "127.0.0.1",
    limit_factor: int = 1,
) -> Path:
    """Write `envoy.json` and `transcoding.binpb` into `out_dir`; answers the path of the first.

    descriptor_set: gen/crafiq.binpb. For the rest see `Place`. Start it with `envoy -c <path>
    --concurrency 1 --disable-hot-restart`. Raises ValueError when the protos and the arguments do
    not make a gateway: an upstream that is missing, two templates for the same path.
    """
    files = parse(descriptor_set)
    out_dir.mkdir(parents=True, exist_ok=True)
    descriptor = out_dir / "transcoding.binpb"
    descriptor.write_bytes(filtered(files).SerializeToString(deterministic=True))
    place = Place(
        listen_host=listen_host,
        listen_port=listen_port,
        upstreams=upstreams,
        tls_dir=tls_dir.resolve(),
        admin_port=admin_port,
        tls_port=tls_port,
        out_dir=out_dir.resolve(),
        origins=origins,
        limit_factor=limit_factor,
        descriptor=descriptor.resolve(),
    )
    config = out_dir / "envoy.json"
    config.write_text(json.dumps(bootstrap(outside(files), place), indent=1), encoding="utf-8")
    return config
