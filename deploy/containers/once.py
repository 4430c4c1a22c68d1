"""What is made before the servers start, and what is made in them afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from deploy.containers.place import METRICS, PORTS, STATE, Containers
from deploy.local.infra import SERVICES
from deploy.local.processes import together
from deploy.local.settings import ROOT, LauncherSettings
from deploy.local.topology import Topology
from tools import gateway

USER = 10001  # whom every container runs as; the Dockerfile makes it
ORIGINS = [f"http://{host}:{PORTS['gateway']}" for host in ("localhost", "127.0.0.1")]
ADMIN = 9901  # Envoy's, on the loopback of its own container
MONITOR = 8222  # the bus's, likewise: its health check


def topology(place: Containers) -> Topology:
    """What the processes are told. A vendor's key may stand in `.env` in the state folder."""
    root = place.state.root
    return Topology(place, LauncherSettings(state=root, env_file=root / ".env"), ORIGINS[0])


def settle(root: Path = STATE) -> None:
    """Make what is not there, renew what ends soon, leave the rest; all of it the containers' user's."""
    place = Containers(root)
    told = topology(place)
    for name in SERVICES:
        told.service(name)
    told.sandbox_openai()
    told.sandbox_stripe()
    told.sandbox_smtp()
    _ = place.postgres.admin_dsn  # its password, and the server's certificate
    place.nats.configure(place.listens(place.nats.port), http=f"127.0.0.1:{MONITOR}")
    place.s3.configure()
    _gateway(place, told)
    place.tls_dir("prometheus")  # for whoever asks for metrics (deploy/observability)
    place.tls_dir("operator")  # for who scrubs
    for data in ("s3", "traces", "scrub"):
        place.state.folder(data)
    if os.geteuid() == 0:
        for path in _all_but_data(root):
            os.chown(path, USER, USER, follow_symlinks=False)


def _gateway(place: Containers, told: Topology) -> None:
    gateway.build(
        (ROOT / "gen" / "crafiq.binpb").read_bytes(),
        listen_host="0.0.0.0",  # noqa: S104  # in its container; compose says who gets there
        listen_port=PORTS["gateway"],
        metrics_port=METRICS,
        admin_port=ADMIN,
        upstreams=told.peers,
        tls_dir=place.tls_dir("gateway"),
        out_dir=place.state.folder("gateway"),
        origins=ORIGINS,
        limit_factor=LauncherSettings().gateway_limit_factor,
        s3=place.reached("s3", place.s3.port),
    )


def _all_but_data(root: Path) -> Iterator[Path]:
    """Everything here and the folders of data, but not what is in them."""
    data = {root / "nats" / "data", *(root / name for name in ("s3", "traces", "peppers", "stripe", "scrub"))}
    for folder, folders, files in os.walk(root):
        yield Path(folder)
        if Path(folder) in data:
            folders.clear()
        else:
            yield from (Path(folder, name) for name in files)


async def prepare(root: Path = STATE) -> None:
    """Make in the servers what services expect: the same as on one machine."""
    place = Containers(root)
    await together(place.postgres.prepare(), place.nats.prepare(), place.s3.prepare())
