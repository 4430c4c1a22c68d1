"""`receipt verify`: whether a receipt of an erasure is ours and unaltered, and what it says."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from cli.lifecycle import WRONG_SETTINGS, settings
from cli.local import Local, NotUpError
from deploy.local.state import StateFolder

KINDS = {"crafiq-erasure-receipt+json": "receipt", "crafiq-erasure-supplement+json": "supplement"}
ISSUER = "crafiq-privacy"
INVALID = 1
UNREADABLE = (JoseError, ValueError, KeyError, TypeError)
"""What joserfc raises for what it can't read."""


class Unverified(Exception):
    """It is not what it claims to be; the message says why."""


def run(file: Path, keys: str | None) -> int:
    """Verify the JWS in `file` with a JWK Set (a file or a URL; else that of the local platform)."""
    try:
        compact = file.read_text(encoding="ascii", errors="replace").strip()
        kind, said = verified(compact, _keys(keys))
    except (OSError, ValueError, Unverified, NotUpError) as error:
        print(f"Not verified: {error}", file=sys.stderr)
        return WRONG_SETTINGS if isinstance(error, (OSError, NotUpError)) else INVALID
    print(f"Verified: a {kind} of {said['erasure']}, signed {said['signed']}.")
    for line in summary(said):
        print(f"  {line}")
    return 0


def verified(compact: str, key_set: str | bytes) -> tuple[str, dict[str, Any]]:
    """Which kind of document it is and what it says; raises Unverified."""
    if compact.count(".") != 2:
        raise Unverified("this is no JWS: give the file as GET /v1/erasures/.../receipt answered it")
    try:
        keys = KeySet.import_key_set(json.loads(key_set))
    except UNREADABLE as error:
        raise Unverified("these are no keys: give the JWK Set that GET /v1/receipts/keys answers") from error
    try:
        found = jws.deserialize_compact(compact, keys, algorithms=["ES256"])
        typ, said = str(found.headers().get("typ")), json.loads(found.payload)
    except UNREADABLE as error:
        raise Unverified("this was not signed with one of these keys, or was altered since") from error
    if typ not in KINDS:
        raise Unverified(f"this is signed, but as {typ}, which is neither a receipt nor a supplement")
    if said.get("iss") != ISSUER:
        raise Unverified(f"{said.get('iss')} signed this, not {ISSUER}")
    return KINDS[typ], said


def summary(said: dict[str, Any]) -> list[str]:
    """What it says, in sentences."""
    return [
        *(_holder(each) for each in said.get("holders", [])),
        *(
            f"bus: {each['foundBefore']} messages found before, {each['leftNow']} left"
            for each in _one(said, "bus")
        ),
        *(
            f"kept by {each['holder']} until {each['until']}: {each['category']}, {each['ground']}"
            for each in said.get("retained", [])
        ),
        *(
            f"{each['vendor']}: {each['count']} copies, which end by {each['until']} at the latest"
            for each in said.get("vendorCopies", [])
        ),
        *(
            f"scrub: {each['searchedBytes']:,} bytes searched for {each['searchedValues']} values,"
            f" {each['hits']} found"
            for each in _one(said, "scrub")
        ),
    ]


def _one(said: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [said[name]] if name in said else []


def _holder(holder: dict[str, Any]) -> str:
    before = sum(each["foundBefore"] for each in holder["data"])
    left = sum(each["leftNow"] for each in holder["data"])
    if not holder.get("counted", True):
        return f"{holder['holder']}: not counted before, because it was silent; {left} left"
    return f"{holder['holder']}: {before} entries found before, {left} left"


def _keys(told: str | None) -> str | bytes:
    if told is not None and not told.startswith(("http://", "https://")):
        return Path(told).read_text(encoding="utf-8")
    return _fetched(told or f"{_gateway()}/v1/receipts/keys")


def _gateway() -> str:
    found = settings()
    if found is None:
        raise NotUpError("Say where the keys are: --keys FILE or --keys URL.")
    return str(Local.find(StateFolder(found.state)).endpoints["gateway"])


def _fetched(url: str) -> bytes:
    try:
        with urlopen(url, timeout=10) as answer:  # noqa: S310  # http and https only, see above
            return bytes(answer.read())
    except URLError as error:
        raise NotUpError(f"{url} does not answer: {error.reason}") from error
