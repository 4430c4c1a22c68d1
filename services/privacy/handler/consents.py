"""What people allow."""

from __future__ import annotations

from crafiq.privacy.v1 import events_pb2, privacy_pb2

from chassis.pages import size
from chassis.rpc import Call
from services.privacy.domain import Chain, ConsentChange, ConsentKind, Posting, Wish, newest
from services.privacy.handler.shelf import Shelf, moment


class Consenting(Shelf):
    """GetConsents, SetConsent."""

    async def GetConsents(self, request: privacy_pb2.GetConsentsRequest, call: Call) -> privacy_pb2.Consents:
        """What stands of each kind, and a page of the caller's ledger, oldest change first."""
        rows = size(request.page_size)
        after = self.pages.decode("consents", call.account, request.page_token)
        found = await self.consents.page(call.account, after, rows + 1)
        chain, posted = await self.consents.chain(call.account), await self.documents.all()
        response = privacy_pb2.Consents(
            consents=[await self._consent(chain, kind, self._text(posted, kind)) for kind in ConsentKind],
            changes=[_change(change) for change in found[:rows]],
        )
        if len(found) > rows:
            last = (found[rows - 1].number,)
            response.next_page_token = self.pages.encode("consents", call.account, last)
        return response

    async def SetConsent(
        self, request: privacy_pb2.SetConsentRequest, call: Call
    ) -> privacy_pb2.ConsentChange:
        """Write the change into the caller's ledger and announce it; what stands already is no change."""
        kind = ConsentKind(privacy_pb2.ConsentKind.Name(request.kind))
        wish = Wish(kind, request.granted, request.text_sha256)
        async with self.consents.db.transaction() as tx:
            chain = await self.consents.locked(tx, call.account)
            text = self._text(await self.documents.all(tx), kind)
            change = chain.next(wish, text, self.clock.now(), self.new_salt())
            earlier = await tx.replay(call.account, request.request_id, request, result=change.name)
            if earlier is not None:
                return _change(await self.consents.change(tx, call.account, earlier))
            wish.check(text)
            if change is not chain.of(kind):
                await self.consents.add(tx, change)
                tx.emit(_changed(change))
            return _change(change)

    async def _consent(self, chain: Chain, kind: ConsentKind, text: Posting) -> privacy_pb2.Consent:
        last = chain.of(kind)
        return privacy_pb2.Consent(
            kind=privacy_pb2.ConsentKind.Value(kind),
            granted=chain.granted(kind),
            basis=kind.basis,
            change_time=moment(last.changed_at) if last else None,
            text=await self.documents.text(text),
            text_version=text.version,
            text_sha256=text.sha256,
        )

    def _text(self, posted: list[Posting], kind: ConsentKind) -> Posting:
        return newest([p for p in posted if p.kind is kind.text_kind], self.clock.now())


def _changed(change: ConsentChange) -> events_pb2.ConsentChanged:
    return events_pb2.ConsentChanged(
        account=f"accounts/{change.account}",
        change=change.number,
        kind=privacy_pb2.ConsentKind.Value(change.kind),
        granted=change.granted,
    )


def _change(change: ConsentChange) -> privacy_pb2.ConsentChange:
    return privacy_pb2.ConsentChange(
        name=change.name,
        kind=privacy_pb2.ConsentKind.Value(change.kind),
        granted=change.granted,
        text_version=change.text_version,
        text_sha256=change.text_sha256,
        change_time=moment(change.changed_at),
        salt=change.salt.hex(),
        previous=change.previous.hex(),
        commitment=change.commitment.hex(),
        statement=change.statement,
    )
