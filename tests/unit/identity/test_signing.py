"""The folder of signing keys, and the tokens that come of it."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from chassis.rpc import mint
from chassis.rpc.tokens import AccessTokens, Revocations
from services.identity.adapters.signing import SigningKeys
from tests.support import FakeClock


def _write(
    folder: Path, kid: str, clock: FakeClock, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{kid}.pem"
    path.write_bytes(pem)
    os.utime(path, (clock.now().timestamp(),) * 2)


def _p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _token(keys: SigningKeys, clock: FakeClock) -> str:
    now = clock.now()
    return mint(keys.signer(), uuid4(), uuid4(), now=now, expires_at=now + timedelta(minutes=5))


@pytest.mark.promise("8-secrets")
async def test_keys_rotate_without_anybody_being_signed_out(tmp_path: Path) -> None:
    clock = FakeClock()
    _write(tmp_path, "old", clock, _p256())
    keys = SigningKeys(tmp_path, clock)
    elsewhere = AccessTokens(keys.jwks, clock, Revocations(clock))
    assert await elsewhere.verify(_token(keys, clock))
    clock.forward(timedelta(days=90))
    _write(tmp_path, "new", clock, _p256())
    keys.reload()
    for minutes, kid in [(0, "old"), (9, "old"), (2, "new"), (5, "new"), (10, "new")]:
        clock.forward(timedelta(minutes=minutes))
        assert keys.signer().kid == kid
        assert await elsewhere.verify(_token(keys, clock))
    assert [key["kid"] for key in json.loads(await keys.jwks())["keys"]] == ["new"]


async def test_a_token_of_the_old_key_lives_out_its_five_minutes(tmp_path: Path) -> None:
    clock = FakeClock()
    _write(tmp_path, "old", clock, _p256())
    clock.forward(timedelta(days=90))
    _write(tmp_path, "new", clock, _p256())
    keys = SigningKeys(tmp_path, clock)
    clock.forward(timedelta(minutes=10) - timedelta(seconds=1))
    token = _token(keys, clock)
    clock.forward(timedelta(minutes=4, seconds=59))
    assert await AccessTokens(keys.jwks, clock, Revocations(clock)).verify(token)


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        (rsa.generate_private_key(65537, 2048), "not an EC key"),
        (ec.generate_private_key(ec.SECP384R1()), "not on the curve P-256"),
    ],
)
def test_a_key_of_another_kind_is_refused_and_the_old_ones_stay(
    tmp_path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, fault: str
) -> None:
    clock = FakeClock()
    _write(tmp_path, "good", clock, _p256())
    keys = SigningKeys(tmp_path, clock)
    _write(tmp_path, "other", clock, key)
    with pytest.raises(ValueError, match=fault):
        keys.reload()
    keys.reload_or_keep()
    assert keys.signer().kid == "good"
