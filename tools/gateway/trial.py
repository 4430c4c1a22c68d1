"""Whether Envoy itself accepts what `build` makes: a trial with a throwaway certificate."""

from __future__ import annotations

import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tools.gateway import build, command
from tools.gateway.surface import outside, parse

SHOWN = 600


def faults(descriptor_set: bytes) -> str:
    """Envoy's complaint about the configuration of these protos, or an empty text."""
    with tempfile.TemporaryDirectory(prefix="crafiq-gateway-") as scratch:
        folder = Path(scratch)
        _throwaway_certificate(folder)
        services = {rpc.service for rpc in outside(parse(descriptor_set))}
        config = build(
            descriptor_set,
            listen_port=8080,
            tls_port=8443,
            metrics_port=8444,
            upstreams=dict.fromkeys(services, "127.0.0.1:1"),
            tls_dir=folder,
            out_dir=folder / "out",
            origins=["http://localhost:5173"],
            s3="127.0.0.1:1",
        )
        validate = [*command(config), "--mode", "validate"]
        run = subprocess.run(validate, capture_output=True, text=True, timeout=60, check=False)
    # A config error dumps the whole configuration: the beginning is what matters.
    return "" if run.returncode == 0 else (run.stderr or run.stdout)[:SHOWN]


def _throwaway_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now)
    certificate = builder.not_valid_after(now + timedelta(hours=1)).sign(key, hashes.SHA256())
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "ca.crt").write_bytes(pem)
    (folder / "tls.crt").write_bytes(pem)
    (folder / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
