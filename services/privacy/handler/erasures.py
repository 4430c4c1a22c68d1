"""Erasures, for whoever has their secret: nobody is signed in any more."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from time import monotonic
from uuid import UUID

from crafiq.privacy.v1 import privacy_pb2
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import json_format

from chassis.rpc import Call
from services.privacy.domain import (
    Case,
    CaseState,
    ErasureNotFound,
    HolderCase,
    ReceiptNotReady,
    SupplementNotReady,
)
from services.privacy.handler.shelf import Shelf, moment

SECRET_HEADER = "x-receipt-secret"  # noqa: S105  # the name of a header
SECRET_COOKIE = "__Secure-crafiq_receipt"  # noqa: S105  # the name of a cookie
POLL_SECONDS, HEARTBEAT_SECONDS = 0.1, 10.0
LONGEST_WATCH = 15 * 60.0  # seconds
DONE = (CaseState.RECEIPT_SIGNED, CaseState.CLOSED, CaseState.VOIDED)
NOTES = {
    CaseState.APPROVED: "The account is being deleted.",
    CaseState.ERASING: "The account is gone. Every holder erases, then all are looked through again.",
    CaseState.RECEIPT_SIGNED: (
        "Nothing is found any more; the receipt is signed. The supplement follows when the last bytes"
        " are scrubbed and the last vendor's copy has ended."
    ),
    CaseState.CLOSED: "Receipt and supplement are signed. Nothing here knows whose erasure this was.",
    CaseState.VOIDED: "The account was not deleted. Ask again, if you still want it.",
}


class Erasing(Shelf):
    """GetErasure, WatchErasure, GetReceipt, GetSupplement, GetReceiptKeys."""

    async def GetErasure(self, request: privacy_pb2.GetErasureRequest, call: Call) -> privacy_pb2.Erasure:
        """How far it is."""
        case = await self._case(request.name, call)
        return _message(case, await self.erasures.holders(case.id))

    async def WatchErasure(
        self, request: privacy_pb2.WatchErasureRequest, call: Call
    ) -> AsyncIterator[HttpBody]:
        """The same whenever it changes, until the receipt is signed."""
        case = await self._case(request.name, call)
        shown, heartbeat, end = 0, monotonic() + HEARTBEAT_SECONDS, monotonic() + LONGEST_WATCH
        while monotonic() < end:
            revision = await self.erasures.revision(case.id)
            if revision != shown:
                shown, case = revision or 0, await self._case(request.name, call)
                yield _event(_message(case, await self.erasures.holders(case.id)), case.revision)
                if case.state in DONE:
                    return
            elif monotonic() >= heartbeat:
                heartbeat = monotonic() + HEARTBEAT_SECONDS
                yield HttpBody(content_type="text/event-stream", data=b": hb\n\n")
            await asyncio.sleep(POLL_SECONDS)

    async def GetReceipt(self, request: privacy_pb2.GetReceiptRequest, call: Call) -> HttpBody:
        """The JWS."""
        case = await self._case(request.name, call)
        if case.receipt is None:
            raise ReceiptNotReady(erasure=case.name)
        return HttpBody(content_type="application/jose", data=case.receipt.encode())

    async def GetSupplement(self, request: privacy_pb2.GetSupplementRequest, call: Call) -> HttpBody:
        """The other JWS."""
        case = await self._case(request.name, call)
        if case.supplement is None:
            raise SupplementNotReady(erasure=case.name)
        return HttpBody(content_type="application/jose", data=case.supplement.encode())

    async def GetReceiptKeys(self, _request: privacy_pb2.GetReceiptKeysRequest, call: Call) -> HttpBody:
        """All keys there ever were, newest first; caches may keep them for an hour."""
        call.set_header("cache-control", "public, max-age=3600")
        keys = [key.jwk for key in await self.erasures.keys()]
        body = json.dumps({"keys": keys}, separators=(",", ":")).encode()
        return HttpBody(content_type="application/jwk-set+json", data=body)

    async def _case(self, name: str, call: Call) -> Case:
        """The case, if the caller knows its secret; raises ErasureNotFound else, whichever it is."""
        try:
            case = await self.erasures.get(UUID(name.removeprefix("erasures/")))
        except ValueError:
            case = None
        told = hashlib.sha256(_secret(call).encode()).digest()
        if case is None or not hmac.compare_digest(case.secret_hash, told):
            raise ErasureNotFound(erasure=name)
        return case


def _secret(call: Call) -> str:
    """What the header says, or else the cookie."""
    pairs = (part.strip().partition("=") for part in call.metadata.get("cookie", "").split(";"))
    cookie = next((value for name, _, value in pairs if name == SECRET_COOKIE), "")
    return call.metadata.get(SECRET_HEADER, "") or cookie


def _event(message: privacy_pb2.Erasure, number: int) -> HttpBody:
    data = json_format.MessageToJson(message, indent=None, always_print_fields_with_no_presence=True)
    event = f"id: {number}\nevent: erasure\ndata: {data}\n\n"
    return HttpBody(content_type="text/event-stream", data=event.encode())


def _message(case: Case, holders: list[HolderCase]) -> privacy_pb2.Erasure:
    return privacy_pb2.Erasure(
        name=case.name,
        state=privacy_pb2.ErasureState.Value(case.state),
        holders=[_holder(each) for each in holders],
        delete_time=moment(case.deleted_at) if case.deleted_at else None,
        receipt_time=moment(case.signed_at) if case.signed_at else None,
        supplement_time=moment(case.closed_at) if case.closed_at else None,
        note=NOTES[case.state],
        etag=f'"{case.revision}"',
    )


def _holder(each: HolderCase) -> privacy_pb2.HolderProgress:
    return privacy_pb2.HolderProgress(
        holder=each.holder,
        state=privacy_pb2.HolderState.Value(each.state),
        found_before=each.found_before,
        left_now=each.left_now,
        tries=each.tries,
        cause=each.cause,
    )
