"""Which processes there are beside the servers, and what each is told."""

from __future__ import annotations

import json
import secrets as randomness
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deploy.local import seaweed
from deploy.local.databases import Databases
from deploy.local.infra import SERVICES
from deploy.local.nats import Nats
from deploy.local.probes import accepts
from deploy.local.processes import Program, environment, rotate
from deploy.local.secret_files import SecretFiles, key, password
from deploy.local.settings import ROOT, LauncherSettings
from deploy.local.state import StateFolder, write_private

OPENAI_URL = "https://api.openai.com/v1"
STRIPE_URL = "https://api.stripe.com"
SMTP_USER = "crafiq"
MAIL_FROM = "Crafiq <hello@crafiq.example>"


class Place(Protocol):
    """Where everything is: on this machine (`infra.Infra`) or in containers (`deploy.containers.place`)."""

    @property
    def state(self) -> StateFolder: ...
    @property
    def secrets(self) -> SecretFiles: ...
    @property
    def postgres(self) -> Databases: ...
    @property
    def nats(self) -> Nats: ...
    @property
    def s3(self) -> seaweed.Seaweed: ...

    def tls_dir(self, process: str) -> Path: ...
    def port(self, name: str) -> int: ...
    def listens(self, port: int) -> str: ...
    def reached(self, process: str, port: int) -> str: ...


class Topology:
    """Ports, settings and secrets of the services and of the sandbox.

    Everything a process is told stands in its environment; every secret is a file in its own folder.
    """

    def __init__(self, infra: Place, settings: LauncherSettings, public_url: str) -> None:
        self._infra, self._settings, self._public_url = infra, settings, public_url
        take = infra.port
        self.services = {name: take(name) for name in SERVICES}
        self.metrics = {name: take(f"{name}.metrics") for name in SERVICES}
        self.openai, self.stripe = take("openai"), take("stripe")
        self.smtp, self.inbox = take("smtp"), take("inbox")
        secret = infra.secrets.get
        self._sandbox_key = secret("sandbox-openai", "crafiq_openai_api_key", _sandbox_key)
        self._stripe_key = secret("sandbox-stripe", "crafiq_stripe_api_key", _sandbox_stripe_key)
        self._smtp_password = secret("sandbox-smtp", "crafiq_smtp_password")
        self._inbox_token = secret("sandbox-smtp", "crafiq_inbox_token")

    @property
    def peers(self) -> dict[str, str]:
        """Each service's host:port for gRPC."""
        return {name: self._infra.reached(name, port) for name, port in self.services.items()}

    @property
    def inbox_url(self) -> str:
        """Where the sandbox's mailbox is read; whoever has the URL may."""
        return f"http://127.0.0.1:{self.inbox}/{self._inbox_token}"

    @property
    def openai_key(self) -> str | None:
        """The key of the real vendor, if there is one."""
        return self._settings.key("OPENAI_API_KEY")

    @property
    def stripe_key(self) -> str | None:
        """The key of Stripe itself, if there is one."""
        return self._settings.key("STRIPE_API_KEY")

    def service(self, name: str) -> Program:
        """How a service is run."""
        specific = {
            "identity": self._identity,
            "assets": self._assets,
            "generation": self._generation,
            "billing": self._billing,
            "privacy": self._privacy,
        }
        self._common_secrets(name)
        more = self._settings.service_settings.get(name, {})
        told = {**self._common(name), **specific.get(name, dict)(), **more}
        return Program(
            name=name,
            command=[sys.executable, "-m", f"services.{name}"],
            environment=self._python(name, **told),
            folder=ROOT,
            ready=accepts(self.services[name]),
            port=self.services[name],
        )

    def sandbox_openai(self) -> Program:
        """How the stand-in for OpenAI is run."""
        return self._sandbox("openai", self.openai)

    def sandbox_stripe(self) -> Program:
        """How the stand-in for Stripe is run; it remembers from run to run, as billing does."""
        file = self._infra.state.folder("stripe") / "stripe.json"
        return self._sandbox("stripe", self.stripe, CRAFIQ_SANDBOX_STRIPE_FILE=str(file))

    def sandbox_smtp(self) -> Program:
        """How the mailbox is run that all mail ends in."""
        listen = self._infra.listens(self.smtp)
        own = {"CRAFIQ_SANDBOX_SMTP_LISTEN": listen, "CRAFIQ_SANDBOX_SMTP_USER": SMTP_USER}
        tls = str(self._infra.tls_dir("sandbox-smtp"))
        return self._sandbox("smtp", self.inbox, CRAFIQ_TLS_DIR=tls, **own)

    def _sandbox(self, name: str, port: int, **own: str) -> Program:
        owner = f"sandbox-{name}"
        return Program(
            name=owner,
            command=[sys.executable, "-m", f"sandbox.{name}"],
            environment=self._python(owner, CRAFIQ_SANDBOX_LISTEN=self._infra.listens(port), **own),
            folder=ROOT,
            ready=accepts(port),
            port=port,
            drain_seconds=5,
        )

    def _python(self, owner: str, **own: str) -> dict[str, str]:
        folder = str(self._infra.secrets.folder(owner))
        return environment(PYTHONPATH=f"{ROOT}:{ROOT / 'gen'}", CRAFIQ_SECRETS_DIR=folder, **own)

    def _common(self, name: str) -> Mapping[str, str]:
        trace = self._infra.state.folder("traces") / f"{name}.jsonl"
        rotate(trace)
        return {
            "CRAFIQ_LISTEN": self._infra.listens(self.services[name]),
            "CRAFIQ_METRICS_LISTEN": self._infra.listens(self.metrics[name]),
            "CRAFIQ_TLS_DIR": str(self._infra.tls_dir(name)),
            "CRAFIQ_NATS_URL": self._infra.nats.url,
            "CRAFIQ_PEERS": json.dumps(self.peers),
            "CRAFIQ_PUBLIC_URL": self._public_url,
            "CRAFIQ_LEDGER_URL": self._infra.s3.url,
            "CRAFIQ_LEDGER_BUCKET": seaweed.LEDGER,
            "CRAFIQ_TRACE_FILE": str(trace),
            "CRAFIQ_TRACE_RATIO": str(self._settings.trace_ratio),
            "CRAFIQ_LOG_LEVEL": "INFO",
        }

    def _common_secrets(self, name: str) -> None:
        self._infra.secrets.put(name, "crafiq_database_url", self._infra.postgres.dsn(name))
        self._infra.secrets.put(name, "crafiq_nats_password", self._infra.nats.password(name))
        self._infra.secrets.get(name, "crafiq_request_key", key)
        keys = self._infra.s3.credentials_of(name)
        self._infra.secrets.put(name, "crafiq_ledger_access_key", keys.access)
        self._infra.secrets.put(name, "crafiq_ledger_secret_key", keys.secret)

    def _identity(self) -> Mapping[str, str]:
        self._infra.secrets.get("identity", "crafiq_token_key", key)
        self._infra.secrets.put("identity", "crafiq_smtp_password", self._smtp_password)
        self._signing_key("identity", "signing")
        host, _, port = self._infra.reached("sandbox-smtp", self.smtp).rpartition(":")
        return {
            # Neither with the databases nor with what is backed up of them.
            "CRAFIQ_PEPPER_DIR": str(self._infra.state.folder("peppers")),
            "CRAFIQ_SMTP_HOST": host,
            "CRAFIQ_SMTP_PORT": port,
            "CRAFIQ_SMTP_USER": SMTP_USER,
            "CRAFIQ_MAIL_FROM": MAIL_FROM,
        }

    def _assets(self) -> Mapping[str, str]:
        keys = self._infra.s3.credentials
        self._infra.secrets.put("assets", "crafiq_s3_access_key", keys.access)
        self._infra.secrets.put("assets", "crafiq_s3_secret_key", keys.secret)
        return {
            "CRAFIQ_S3_URL": self._infra.s3.url,
            "CRAFIQ_S3_QUARANTINE": seaweed.QUARANTINE,
            "CRAFIQ_S3_LIBRARY": seaweed.LIBRARY,
            "CRAFIQ_S3_PUBLIC": seaweed.PUBLIC,
        }

    def _generation(self) -> Mapping[str, str]:
        real, sandbox = self.openai_key, self._infra.reached("sandbox-openai", self.openai)
        self._infra.secrets.put("generation", "crafiq_openai_api_key", real or self._sandbox_key)
        return {
            "CRAFIQ_OPENAI_URL": OPENAI_URL if real else f"http://{sandbox}/v1",
            "CRAFIQ_OPENAI_SANDBOX": "false" if real else "true",
        }

    def _billing(self) -> Mapping[str, str]:
        real, sandbox = self.stripe_key, self._infra.reached("sandbox-stripe", self.stripe)
        self._infra.secrets.put("billing", "crafiq_stripe_api_key", real or self._stripe_key)
        # What Stripe says by itself is signed with it. One that nobody else knows keeps that door closed.
        if signs := self._settings.key("STRIPE_WEBHOOK_SECRET"):
            self._infra.secrets.put("billing", "crafiq_stripe_webhook_secret", signs)
        self._infra.secrets.get("billing", "crafiq_stripe_webhook_secret", _webhook_secret)
        return {"CRAFIQ_STRIPE_URL": STRIPE_URL if real else f"http://{sandbox}"}

    def _privacy(self) -> Mapping[str, str]:
        self._signing_key("privacy", "receipts")
        return {}

    def _signing_key(self, service: str, name: str) -> None:
        """A key that something is signed with: PKCS8 PEM, EC P-256, the file named for its key id."""
        folder = self._infra.state.folder("secrets", service, name)
        if not any(folder.glob("*.pem")):
            made = ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            write_private(folder / f"{randomness.token_hex(8)}.pem", made.decode())


def _sandbox_key() -> str:
    return f"sk-sandbox-{password()}"


def _webhook_secret() -> str:
    return f"whsec_{password()}"


def _sandbox_stripe_key() -> str:
    return f"sk_test_sandbox{password()}"
