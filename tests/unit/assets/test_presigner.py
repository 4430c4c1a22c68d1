"""Presigned URLs against an independent implementation, and what they bind."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from minio.credentials import Credentials
from minio.signer import presign_v4

from services.assets.adapters.blobs import Presigner
from tests.support import FakeClock

CLOCK = FakeClock()
SIGNER = Presigner("http://127.0.0.1:8333", "access", "secret", CLOCK)


def test_a_get_is_signed_as_minio_signs_it() -> None:
    ours, _ = SIGNER.get(
        "library", "a b/ü+c", response={"response-content-disposition": 'attachment; filename="x"'}
    )
    unsigned = urlsplit(
        "http://127.0.0.1:8333/library/a%20b/%C3%BC%2Bc?response-content-disposition=attachment%3B%20filename%3D%22x%22"
    )
    theirs = presign_v4(
        method="GET", url=unsigned, region="us-east-1", credentials=Credentials("access", "secret"),
        date=CLOCK.now(), expires=60,
    )  # fmt: skip
    assert parse_qs(urlsplit(ours).query) == parse_qs(theirs.query)
    assert urlsplit(ours).path == theirs.path


def test_a_get_is_the_same_for_half_a_minute_and_never_lives_longer_than_one() -> None:
    clock = FakeClock()
    signer = Presigner("http://127.0.0.1:8333", "access", "secret", clock)
    first = signer.get("library", "a")
    clock.forward(timedelta(seconds=29))
    assert signer.get("library", "a") == first
    assert timedelta(seconds=30) <= first[1] - clock.now() <= timedelta(seconds=60)
    clock.forward(timedelta(seconds=1))
    assert signer.get("library", "a") != first


def test_a_put_binds_length_type_and_digest_and_the_first_time() -> None:
    url, headers = SIGNER.put(
        "quarantine", "k", size=3, content_type="image/png", sha256="00" * 32, expires=timedelta(minutes=10)
    )
    query = parse_qs(urlsplit(url).query)
    assert query["X-Amz-SignedHeaders"] == [
        "content-length;content-type;host;if-none-match;x-amz-checksum-sha256"
    ]
    assert query["X-Amz-Expires"] == ["600"]
    assert headers == {
        "content-type": "image/png",
        "if-none-match": "*",
        "x-amz-checksum-sha256": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    }
