"""The ledger of tombstones: who was erased, in a bucket outside of all databases and their backups.

One object a tombstone, locked against removal for as long as the oldest backup lives and a margin.
Its key says everything: `tombstones/{time}/{account}/{erasure}`; `voids/{time}/{erasure}` takes that one back
and no other: somebody who was not deleted may ask again under the same name.
Privacy writes, with a credential of its own; every service reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import UUID

from chassis.errors import Unavailable
from chassis.settings import ServiceSettings
from promises.erasing import Wanted

if TYPE_CHECKING:
    from minio import Minio

TOMBSTONES, VOIDS = "tombstones", "voids"
BUCKET = "crafiq-tombstones"
PATIENCE = 5  # seconds
_TIME = "%Y%m%dT%H%M%S.%fZ"


class LedgerUnavailable(Unavailable):
    """The ledger does not answer, or not as it should."""

    sentence = "Deletions can't be recorded right now; nothing was deleted: ask again in a moment."


def tombstone_key(wanted: Wanted) -> str:
    """The key of a tombstone."""
    return f"{TOMBSTONES}/{_stamp(wanted)}/{wanted.account}/{wanted.erasure}"


def void_key(wanted: Wanted) -> str:
    """The key of what takes its tombstone back."""
    return f"{VOIDS}/{_stamp(wanted)}/{wanted.erasure}"


def _stamp(wanted: Wanted) -> str:
    return wanted.deleted_at.astimezone(UTC).strftime(_TIME)


def client(url: str, access: str, secret: str) -> Minio:
    """minio's client with a timeout and without retries of its own."""
    # Whoever has no ledger does not pay for loading it.
    import urllib3  # noqa: PLC0415
    from minio import Minio  # noqa: PLC0415

    parts = urlsplit(url)
    pool = urllib3.PoolManager(maxsize=4, timeout=urllib3.Timeout(PATIENCE), retries=False)
    return Minio(
        parts.netloc, access_key=access, secret_key=secret, secure=parts.scheme == "https",
        region="us-east-1", http_client=pool,
    )  # fmt: skip


def place(settings: ServiceSettings) -> tuple[str, str, tuple[str, str]]:
    """URL, bucket and keys of the ledger; raises ValueError if they are not set."""
    access, secret = settings.ledger_access_key, settings.ledger_secret_key
    if not settings.ledger_url or access is None or secret is None:
        raise ValueError("Set CRAFIQ_LEDGER_URL, crafiq_ledger_access_key and crafiq_ledger_secret_key.")
    return settings.ledger_url, settings.ledger_bucket, (access.get_secret_value(), secret.get_secret_value())


class Ledger:
    """What the ledger says, for those who have to go by it."""

    def __init__(self, url: str, bucket: str, keys: tuple[str, str]) -> None:
        self._bucket, self._client = bucket, client(url, *keys)

    async def standing(self) -> list[Wanted]:
        """Every erasure that was not taken back, the oldest first. Raises LedgerUnavailable."""
        return standing(await asyncio.to_thread(self._keys))

    def _keys(self) -> list[str]:
        from minio.error import MinioException  # noqa: PLC0415  # as above
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            # All versions: a marker of deletion, which nobody can be kept from making, hides nothing.
            listed = self._client.list_objects(self._bucket, recursive=True, include_version=True)
            return [each.object_name for each in listed if each.object_name and not each.is_delete_marker]
        except (MinioException, HTTPError, OSError) as error:
            raise LedgerUnavailable from error


def standing(keys: Iterable[str]) -> list[Wanted]:
    """What the keys of a ledger say; keys of another shape are nobody's."""
    parts = [key.split("/") for key in sorted(set(keys))]
    void = {(each[1], each[2]) for each in parts if each[0] == VOIDS and len(each) == 3}
    return [
        Wanted(UUID(account), UUID(erasure), datetime.strptime(stamp, _TIME).replace(tzinfo=UTC))
        for kind, stamp, account, erasure in (each for each in parts if len(each) == 4)
        if kind == TOMBSTONES and (stamp, erasure) not in void
    ]
