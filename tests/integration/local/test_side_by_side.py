"""Two platforms on one machine know nothing of each other."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import nats
import pytest
from cryptography import x509

from deploy.local.certs import CERTIFICATE_LIVES, Certificates, client
from deploy.local.infra import Infra
from deploy.local.state import StateError, StateFolder


@pytest.mark.promise("8-isolation")
async def test_two_sets_of_servers_run_side_by_side(infra: Infra, tmp_path: Path) -> None:
    """Whole platforms: tests/e2e/test_side_by_side.py."""
    async with Infra(tmp_path / "other") as other:
        mine, others = infra.ports.chosen, other.ports.chosen
        assert len(mine) > 10
        assert json.loads(other.state.ports.read_text()).items() >= others.items()
        assert not set(mine.values()) & set(others.values())
        await _assert_only_its_own_password(infra, other)
        await _assert_only_its_own_certificate(infra, other)
        with pytest.raises(StateError, match="already running"):
            StateFolder(tmp_path / "other").acquire()


async def _assert_only_its_own_password(here: Infra, there: Infra) -> None:
    dsn = here.postgres.dsn("billing")
    await (await asyncpg.connect(dsn, password=here.postgres.password("billing"))).close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(dsn, password=there.postgres.password("billing"))


async def _assert_only_its_own_certificate(here: Infra, there: Infra) -> None:
    foreign = client(there.tls_dir("billing"))
    foreign.load_verify_locations(here.tls_dir("billing") / "ca.crt")
    await _connected(here, client(here.tls_dir("billing")))
    with pytest.raises((nats.errors.Error, OSError)):
        await _connected(here, foreign)


async def _connected(infra: Infra, tls: ssl.SSLContext) -> None:
    async def quiet(error: Exception) -> None:
        del error

    connection = await nats.connect(
        infra.nats.url, tls=tls, user="billing", password=infra.nats.password("billing"),
        allow_reconnect=False, error_cb=quiet,
    )  # fmt: skip
    await connection.close()


@pytest.mark.parametrize("made", [Certificates.folder, Certificates.alone])
def test_certificates_are_kept_and_renewed_before_they_end(
    made: Callable[[Certificates, str], Path], tmp_path: Path
) -> None:
    state, now = StateFolder(tmp_path), datetime.now(UTC)
    first = (made(Certificates(state, now), "billing") / "tls.crt").read_bytes()
    assert (made(Certificates(state, now), "billing") / "tls.crt").read_bytes() == first
    later = made(Certificates(state, now + CERTIFICATE_LIVES - timedelta(days=20)), "billing")
    renewed = x509.load_pem_x509_certificate((later / "tls.crt").read_bytes())
    assert (later / "tls.crt").read_bytes() != first
    names = renewed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://crafiq/svc/billing"]
