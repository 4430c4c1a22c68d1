"""Where everything is in docker-compose.yml: fixed ports, a name a process, one folder for what is kept."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from deploy.local.certs import Certificates
from deploy.local.databases import Databases
from deploy.local.infra import SERVICES
from deploy.local.nats import Nats
from deploy.local.seaweed import Seaweed
from deploy.local.secret_files import SecretFiles
from deploy.local.state import StateFolder

STATE = Path("/state")
"""A container sees its own parts of the state folder, at the same paths as all others."""
PORTS = {
    "nats": 4222,
    "s3": 8333,
    "s3.master": 9333,
    "s3.volume": 9340,
    "s3.filer": 8888,  # weed's own, and for gRPC 10,000 more
    "openai": 8000,
    "stripe": 8001,
    "smtp": 1025,
    "inbox": 8025,
    "gateway": 8080,
}
GRPC, METRICS, POSTGRES = 50051, 9464, 5432
# A presigned URL is used from outside and from inside, and its host is signed: this name means this
# machine outside (RFC 6761, section 6.3), and is what the storage container is called inside.
S3_HOST = "s3.localhost"


class Containers:
    """`topology.Place` for containers: the code that tells local processes what they are tells these."""

    def __init__(self, root: Path = STATE) -> None:
        self.state = StateFolder(root)
        self.secrets = SecretFiles(self.state)
        self._certificates = Certificates(self.state)
        self.postgres = Databases(self.secrets, SERVICES, self._database)
        self.nats = Nats(self.state, self.secrets, self.tls_dir("nats"), PORTS["nats"], SERVICES, host="nats")
        self.s3 = Seaweed(self.state, self.secrets, self._certificates, PORTS, SERVICES, host=S3_HOST)

    def tls_dir(self, process: str) -> Path:
        """Certificate and key of a process, made or renewed if they have to be."""
        return self._certificates.folder(process)

    def port(self, name: str) -> int:
        """The port that `name` has in its container."""
        return METRICS if name.endswith(".metrics") else PORTS.get(name, GRPC)

    def listens(self, port: int) -> str:
        """Whoever shares a network with the container may connect."""
        return f"0.0.0.0:{port}"

    def reached(self, process: str, port: int) -> str:
        """A container is called by its process's name, which its certificate has too."""
        return f"{process}:{port}"

    def _database(self, role: str) -> tuple[str, str]:
        return database_at(self.tls_dir(role))


def database_at(tls: Path) -> tuple[str, str]:
    """What `Databases` asks of a role: it shows the certificate that is made out to it (`pg_hba.conf`)."""
    options = {
        "sslmode": "verify-full",
        "sslrootcert": tls / "ca.crt",
        "sslcert": tls / "tls.crt",
        "sslkey": tls / "tls.key",
    }
    return f"postgres:{POSTGRES}", urlencode(options)
