"""A real Envoy with the configuration that the protos make, in front of services that remember."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest
from crafiq.assets.v1 import assets_pb2_grpc
from crafiq.generation.v1 import generation_pb2_grpc
from crafiq.identity.v1 import identity_pb2_grpc

from deploy.local.certs import Certificates
from deploy.local.state import StateFolder
from tests.personal import keep
from tests.support import Tokens, eventually
from tools.gateway import build, command

from .upstream import Assets, Generation, Identity, Upstream, serve

ROOT = Path(__file__).resolve().parents[3]
PAGE = "http://app.example:5173"


@dataclass(frozen=True)
class Gateway:
    """Where it is: `url` in clear text, `tls_url` with TLS that `tls` trusts; its files; its log."""

    url: str
    tls_url: str
    tls: ssl.SSLContext
    metrics_port: int
    folder: Path
    log: Path
    port: int
    pid: int


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Short, because Unix sockets stand in it."""
    made = Path(tempfile.mkdtemp(prefix="crafiq-gw-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def certificates(folder: Path) -> Certificates:
    return Certificates(StateFolder(folder))


@pytest.fixture(scope="session")
async def services(certificates: Certificates) -> AsyncIterator[tuple[Upstream, dict[str, str]]]:
    """identity, assets and generation; billing is somebody else, privacy is not there."""
    upstream = Upstream(Tokens())
    kinds = {
        "identity": (Identity(upstream), identity_pb2_grpc.add_IdentityServiceServicer_to_server),
        "assets": (Assets(upstream), assets_pb2_grpc.add_AssetsServiceServicer_to_server),
        "generation": (Generation(upstream), generation_pb2_grpc.add_GenerationServiceServicer_to_server),
    }
    addresses = {}
    async with AsyncExitStack() as stack:
        for name, (handler, add) in kinds.items():
            server, port = await serve(handler, add, certificates.folder(name))
            stack.push_async_callback(server.stop, None)
            addresses[name] = f"127.0.0.1:{port}"
        # Its certificate is valid and says `assets`.
        addresses["billing"] = addresses["assets"]
        addresses["privacy"] = f"127.0.0.1:{_free_port()}"
        yield upstream, addresses


@pytest.fixture(scope="session")
async def gateway(
    services: tuple[Upstream, dict[str, str]], certificates: Certificates, folder: Path
) -> AsyncIterator[Gateway]:
    """Ready to be called, its keys fetched."""
    port, tls_port, metrics_port = _free_port(), _free_port(), _free_port()
    config = build(
        (ROOT / "gen" / "crafiq.binpb").read_bytes(),
        listen_port=port,
        tls_port=tls_port,
        metrics_port=metrics_port,
        upstreams=services[1],
        tls_dir=certificates.folder("gateway"),
        out_dir=folder / "out",
        origins=[PAGE],
    )
    log = folder / "gateway.log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *command(config), stdout=out, stderr=asyncio.subprocess.STDOUT, env={}
        )
    tls = ssl.create_default_context(cafile=str(certificates.folder("gateway") / "ca.crt"))
    made = Gateway(
        url=f"http://127.0.0.1:{port}",
        tls_url=f"https://localhost:{tls_port}",
        tls=tls,
        metrics_port=metrics_port,
        folder=folder / "out",
        log=log,
        port=port,
        pid=process.pid,
    )
    try:
        await eventually(lambda: _ready(made, services[0], process), timeout=30)
        yield made
    finally:
        process.terminate()
        await process.wait()
        keep([log])


async def _ready(gateway: Gateway, upstream: Upstream, process: asyncio.subprocess.Process) -> bool:
    assert process.returncode is None, gateway.log.read_text()[:2000]
    bearer = {"Authorization": f"Bearer {upstream.tokens.access(uuid4())}"}
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{gateway.url}/v1/accounts/me", headers=bearer) as a,
        ):
            return a.status == 200
    except aiohttp.ClientError:
        return False


@pytest.fixture
def upstream(services: tuple[Upstream, dict[str, str]], gateway: Gateway) -> Upstream:
    """The services, with nothing remembered."""
    services[0].reached.clear()
    services[0].go_on.clear()
    services[0].stream_ended.clear()
    return services[0]


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that is nobody; its address is its own, so that no test uses up another's limits."""
    async with aiohttp.ClientSession(gateway.url, connector=_from_own_address()) as session:
        yield session


@pytest.fixture
def somebody(upstream: Upstream) -> dict[str, str]:
    """Headers of a person who is signed in, a new one each time."""
    return {"Authorization": f"Bearer {upstream.tokens.access(uuid4())}"}


@pytest.fixture
async def client_at(gateway: Gateway) -> AsyncIterator[Callable[[str], aiohttp.ClientSession]]:
    """Makes clients that call from an address of 127.0.0.0/8."""
    async with AsyncExitStack() as stack:

        def make(address: str) -> aiohttp.ClientSession:
            connector = aiohttp.TCPConnector(local_addr=(address, 0))
            session = aiohttp.ClientSession(gateway.url, connector=connector)
            stack.push_async_callback(session.close)
            return session

        yield make


_addresses = iter(f"127.0.{high}.{low}" for high in range(1, 250) for low in range(1, 250))


def _from_own_address() -> aiohttp.TCPConnector:
    return aiohttp.TCPConnector(local_addr=(next(_addresses), 0))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def raw(gateway: Gateway, request: bytes, *, seconds: float = 5) -> bytes:
    """Bytes as they are, for what no client library would send; answers what came until it closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(request)
    await writer.drain()
    try:
        async with asyncio.timeout(seconds):
            return await reader.read()
    finally:
        writer.close()
