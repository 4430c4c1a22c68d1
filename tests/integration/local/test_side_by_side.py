"""Two platforms on one machine know nothing of each other."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from cryptography import x509

from deploy.local.certs import CERTIFICATE_LIVES, Certificates
from deploy.local.infra import Infra
from deploy.local.state import StateError, StateFolder


async def test_two_sets_of_servers_run_side_by_side(infra: Infra, tmp_path: Path) -> None:
    async with Infra(tmp_path / "other") as other:
        mine = json.loads(infra.state.ports.read_text()) if infra.state.ports.exists() else {}
        others = json.loads(other.state.ports.read_text())
        assert not set(mine.values()) & set(others.values())
        connection = await asyncpg.connect(other.postgres.dsn("billing"))
        await connection.close()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(infra.postgres.dsn("billing"), password="of the other one")
        with pytest.raises(StateError, match="already running"):
            StateFolder(tmp_path / "other").acquire()


def test_certificates_are_kept_and_renewed_before_they_end(tmp_path: Path) -> None:
    state, now = StateFolder(tmp_path), datetime.now(UTC)
    first = (Certificates(state, now).folder("billing") / "tls.crt").read_bytes()
    assert (Certificates(state, now).folder("billing") / "tls.crt").read_bytes() == first
    later = Certificates(state, now + CERTIFICATE_LIVES - timedelta(days=20)).folder("billing")
    renewed = x509.load_pem_x509_certificate((later / "tls.crt").read_bytes())
    assert (later / "tls.crt").read_bytes() != first
    names = renewed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://crafiq/svc/billing"]
