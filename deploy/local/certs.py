"""The development CA and a certificate for each process: made on the first run, renewed before they end."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.local.state import StateFolder, write_private

CA_LIVES = timedelta(days=3650)
CERTIFICATE_LIVES = timedelta(days=90)
RENEW_BEFORE = timedelta(days=30)
PEM = serialization.Encoding.PEM


class Certificates:
    """`tls/<process>/{ca.crt,tls.crt,tls.key}` below the state folder; the CA's key stands in `tls/ca`.

    A certificate carries the URI SAN `spiffe://crafiq/svc/<process>`, the names localhost, 127.0.0.1,
    <process>.crafiq.internal and <process> (which containers are reached by), and serves both ends of a
    connection. Keys are EC P-256.
    """

    def __init__(self, state: StateFolder, now: datetime | None = None) -> None:
        self._state = state
        self._now = now or datetime.now(UTC)
        self._key, self._ca = self._authority()

    def folder(self, process: str) -> Path:
        """The `CRAFIQ_TLS_DIR` of a process; its certificate is made or renewed if it has to be."""
        folder = self._state.folder("tls", process)
        if not self._still_good(folder, self._ca):
            key = ec.generate_private_key(ec.SECP256R1())
            _write(folder, key, self._issue(process, key, self._ca.subject, self._key), self._ca)
        return folder

    def alone(self, process: str) -> Path:
        """The same, but its certificate signs itself: who trusts that alone lets nobody else in."""
        folder = self._state.folder("tls", process)
        if not self._still_good(folder):
            key = ec.generate_private_key(ec.SECP256R1())
            made = self._issue(process, key, _name(process), key)
            _write(folder, key, made, made)
        return folder

    def _authority(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        folder = self._state.folder("tls", "ca")
        if (folder / "ca.crt").exists():
            key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
            found = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
            if found.not_valid_after_utc > self._now + RENEW_BEFORE and isinstance(
                key, ec.EllipticCurvePrivateKey
            ):
                return key, found
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Crafiq development CA")
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        made = (
            self._builder(name, name, key.public_key(), CA_LIVES)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_private(folder / "ca.key", _private(key))
        write_private(folder / "ca.crt", made.public_bytes(PEM).decode())
        return key, made

    def _still_good(self, folder: Path, signer: x509.Certificate | None = None) -> bool:
        """Signed by this one, by itself where there is none, and for a while yet."""
        try:
            found = x509.load_pem_x509_certificate((folder / "tls.crt").read_bytes())
            signer = signer or found
            found.verify_directly_issued_by(signer)
            known = (folder / "ca.crt").read_bytes() == signer.public_bytes(PEM)
        except (OSError, ValueError, InvalidSignature):  # none, or another CA's
            return False
        return known and found.not_valid_after_utc > self._now + RENEW_BEFORE

    def _issue(
        self,
        process: str,
        key: ec.EllipticCurvePrivateKey,
        signer: x509.Name,
        signing: ec.EllipticCurvePrivateKey,
    ) -> x509.Certificate:
        names = [
            x509.UniformResourceIdentifier(f"spiffe://crafiq/svc/{process}"),
            x509.DNSName("localhost"),
            x509.DNSName(f"{process}.crafiq.internal"),
            x509.DNSName(process),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key())
        return (
            self._builder(_name(process), signer, key.public_key(), CERTIFICATE_LIVES)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(both), critical=False)
            .add_extension(authority, critical=False)
            .sign(signing, hashes.SHA256())
        )

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lives: timedelta
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - timedelta(minutes=5))
            .not_valid_after(self._now + lives)
        )


def client(folder: Path) -> ssl.SSLContext:
    """What a TLS client needs that shows the certificate in this folder."""
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return context


def _write(
    folder: Path, key: ec.EllipticCurvePrivateKey, made: x509.Certificate, signer: x509.Certificate
) -> None:
    write_private(folder / "tls.key", _private(key))
    write_private(folder / "tls.crt", made.public_bytes(PEM).decode())
    write_private(folder / "ca.crt", signer.public_bytes(PEM).decode())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _private(key: ec.EllipticCurvePrivateKey) -> str:
    encoded = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return encoded.decode()
