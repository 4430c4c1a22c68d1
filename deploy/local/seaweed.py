"""S3 by SeaweedFS: buckets, encrypted at rest with a key from outside, and the ledger of tombstones."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import urllib3
from minio import Minio
from minio.sseconfig import Rule, SSEConfig

from deploy.local import binaries
from deploy.local.certs import Certificates, client
from deploy.local.probes import answers
from deploy.local.processes import Program, environment
from deploy.local.secret_files import SecretFiles, key
from deploy.local.state import StateFolder, write_private

QUARANTINE, LIBRARY, PUBLIC = "crafiq-quarantine", "crafiq-library", "crafiq-public"
BUCKETS = (QUARANTINE, LIBRARY, PUBLIC)
LEDGER = "crafiq-tombstones"
LEDGER_WRITER, LEDGER_WRITES = "privacy", ("Write", "PutObjectRetention")
LISTENERS = ("master", "volume", "filer", "s3", "admin")


def _held(name: str) -> str:
    return name if name == "s3" else f"s3.{name}"


PORTS = [_held(name) for listener in LISTENERS for name in (listener, f"{listener}.grpc")]
"""The names under which its ports are held."""
MEMORY_LIMIT = "400MiB"
IDENTITIES = "s3.json"
OPERATOR = "operator"
"""The folder beside the server's secrets in which its shell finds what it needs to check volumes."""


@dataclass(frozen=True)
class Credentials:
    """A pair for AWS Signature Version 4."""

    access: str
    secret: str


class Seaweed:
    """`weed mini` of one state folder; only its S3 port is anyone else's business."""

    def __init__(
        self,
        state: StateFolder,
        secrets: SecretFiles,
        certificates: Certificates,
        ports: Mapping[str, int],
        services: Sequence[str],
        host: str = "127.0.0.1",
    ) -> None:
        self._state, self._secrets, self._certificates = state, secrets, certificates
        self._services, self._ports, self.port = services, ports, ports["s3"]
        self._host, self._place = host, f"{host}:{self.port}"
        self.url = f"http://{self._place}"

    @property
    def credentials(self) -> Credentials:
        """What assets uses: its own buckets and nothing else."""
        return self._credentials("assets")

    def credentials_of(self, service: str) -> Credentials:
        """What a service uses: all read the ledger, privacy writes it, assets has its own buckets."""
        return self._credentials(service)

    @property
    def tls(self) -> ssl.SSLContext:
        """What opens its inner doors: its own certificate, which its operator has too and no service."""
        return client(self._certificates.alone("s3"))

    @property
    def admin_credentials(self) -> Credentials:
        """What the launcher makes buckets with."""
        return self._credentials("admin")

    def program(self, origins: Sequence[str]) -> Program:
        """How the server is run; `origins` are the pages whose scripts may use presigned URLs."""
        folder = self.configure()
        return Program(
            name="s3",
            command=[
                str(binaries.script("weed")),
                *self._options(origins),
                f"-s3.config={folder / IDENTITIES}",
            ],
            environment=environment(GOMEMLIMIT=MEMORY_LIMIT),
            folder=folder,  # security.toml is looked for here
            ready=answers(f"{self.url}/healthz"),
            port=self.port,
        )

    def configure(self) -> Path:
        """Write what the server reads, secrets and all; answers the folder."""
        folder = self._secrets.folder("s3")
        doors, reading, writing = "".join(self._doors()), self._signs(".read"), self._signs("")
        write_private(folder / "security.toml", doors + reading + writing + self._own())
        write_private(self._state.folder("secrets", "s3", OPERATOR) / "security.toml", doors + reading)
        write_private(folder / IDENTITIES, json.dumps(self._identities(), indent=1))
        return folder

    async def prepare(self) -> None:
        """Make the buckets; what is put into them is encrypted from then on."""
        await asyncio.to_thread(self._prepare)

    def _prepare(self) -> None:
        keys = self.admin_credentials
        client = Minio(self._place, keys.access, keys.secret, secure=False, region="us-east-1")
        there = {bucket.name for bucket in client.list_buckets()}
        for bucket in BUCKETS:
            if bucket not in there:
                client.make_bucket(bucket)
                client.set_bucket_encryption(bucket, SSEConfig(Rule.new_sse_s3_rule()))
        if LEDGER not in there:
            client.make_bucket(LEDGER, object_lock=True)
        for bucket in {*BUCKETS, LEDGER} - there:
            self._grow(bucket)

    def _grow(self, bucket: str) -> None:
        """Make the file that its objects go into: else the first of them waits 0.2 s for it."""
        master = urllib3.HTTPSConnectionPool(
            self._host, self._ports[_held("master")], ssl_context=self.tls, assert_hostname="s3", timeout=10
        )
        master.request("POST", f"/vol/grow?collection={bucket}&count=1", retries=False)

    def _options(self, origins: Sequence[str]) -> list[str]:
        sockets = self._state.runtime
        ports = [f"-{name}.port={self._ports[_held(name)]}" for name in LISTENERS]
        return [
            "-logtostderr=true",
            "mini",
            f"-dir={self._state.folder('s3')}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            *ports,
            *(f"-{name}.port.grpc={self._ports[_held(f'{name}.grpc')]}" for name in LISTENERS),
            f"-filer.localSocket={sockets / 'filer.sock'}",
            f"-s3.localSocket={sockets / 's3.sock'}",
            f"-s3.allowedOrigins={','.join(origins)}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-webdav=false",
            "-admin.ui=false",
            "-master.telemetry=false",
            "-volume.preStopSeconds=0",
        ]

    def _signs(self, what: str) -> str:
        """With what its parts sign what they ask of one another: to read, or to write."""
        sections = (f"jwt.{part}{what}" for part in ("signing", "filer_signing"))
        return "".join(
            f'[{name}]\nkey = "{self._secrets.get("s3", name.replace(".", "_"), key)}"\n' for name in sections
        )

    def _own(self) -> str:
        """What only the server needs: the key of all that it stores."""
        return (
            f'[s3.sse]\nkek = "{self._secrets.get("s3", "encryption_key", key)}"\n'
            f'[admin]\npassword = "{self._secrets.get("s3", "admin_password")}"\n'
        )

    def _doors(self) -> list[str]:
        """Its parts speak to one another, and its operator to them, with its own certificate alone.

        Not over HTTP to the volume server: tokens guard what lies there (ADR 0018).
        """
        tls = self._certificates.alone("s3")
        ca = f'ca = "{tls / "ca.crt"}"\n'
        pair = f'cert = "{tls / "tls.crt"}"\nkey = "{tls / "tls.key"}"\n'
        parts = ("volume", "master", "filer", "s3", "admin", "worker", "client")
        return [
            f"[grpc]\n{ca}",
            *(f"[grpc.{part}]\n{pair}" for part in parts),
            *(f"[https.{part}]\n{pair}{ca}" for part in ("master", "filer", "admin")),
        ]

    def _identities(self) -> dict[str, object]:
        services = [_identity(name, self.credentials_of(name), _allowed_to(name)) for name in self._services]
        return {
            "identities": [
                _identity("admin", self.admin_credentials, ["Admin"]),
                *services,
                # Whoever says nothing reads what is public, if the key is known; nobody lists it.
                {"name": "anonymous", "actions": [f"Read:{PUBLIC}"]},
            ]
        }

    def _credentials(self, name: str) -> Credentials:
        access = self._secrets.get("s3", f"{name}_access_key", lambda: f"crafiq-{name}")
        return Credentials(access, self._secrets.get("s3", f"{name}_secret_key"))


def _allowed_to(service: str) -> list[str]:
    ledger = ["Read", "List", *(LEDGER_WRITES if service == LEDGER_WRITER else [])]
    allowed = [f"{verb}:{LEDGER}" for verb in ledger]
    if service == "assets":
        allowed += [f"{verb}:{bucket}" for bucket in BUCKETS for verb in ("Read", "Write", "List", "Tagging")]
    return allowed


def _identity(name: str, keys: Credentials, actions: list[str]) -> dict[str, object]:
    pair = {"accessKey": keys.access, "secretKey": keys.secret}
    return {"name": name, "credentials": [pair], "actions": actions}
