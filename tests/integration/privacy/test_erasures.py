"""An erasure goes on until nothing is found: planned, approved, carried out, looked through, signed."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import grpc.aio
import nats
import pytest
from crafiq.identity.v1 import events_pb2
from crafiq.privacy.v1 import privacy_pb2
from crafiq.privacy.v1.privacy_pb2_grpc import PrivacyServiceStub
from crafiq.promises.v1 import promises_pb2
from google.protobuf.message import Message
from joserfc import jws
from joserfc.jwk import KeySet
from minio import Minio
from prometheus_client import REGISTRY
from sqlalchemy import text

import services.privacy.adapters.holders
from chassis.db import Statement
from chassis.errors import Refusal
from chassis.rpc import refusal_from
from chassis.service import Service
from deploy.local.infra import Infra
from promises.ledger import Ledger, place
from promises.shares import BACKUPS_GROUND
from services.privacy.__main__ import Settings, compose
from services.privacy.adapters import ReceiptKeys
from services.privacy.consumers import ERASED as ANSWERS
from services.privacy.domain import Row, Scrub
from services.privacy.domain.erasures import IN_DOUBT
from services.privacy.domain.plans import OUR_WORDS, TOMBSTONE_GROUND
from services.privacy.jobs import Watch
from services.privacy.repository import Erasures
from tests.integration.in_process import Neighbours, in_process, ledger_of, settings_for
from tests.integration.privacy.conftest import verified
from tests.integration.privacy.played import ERASED, OTHERS, STAYS, Played, kept, played
from tests.running import servers
from tests.support import FakeClock, calling, eventually, free_port, signing_key

promise = pytest.mark.promise("9-delete-now", "11-erase")
SECRET = "x-receipt-secret"
REMINDERS = "crafiq_erasure_reminders_total"
FRAUD = "to prevent fraud, abuse, and chargebacks"
FAREWELL = "until the mail that confirms the deletion is sent"
SET_ASIDE = Statement(
    text("UPDATE erasure_cases SET state = 'VOIDED' WHERE state IN ('APPROVED', 'ERASING')")
)
KNOWN = Statement(text("SELECT account FROM acceptances WHERE account = :account"))


@dataclass
class Person:
    """Somebody who wants to be deleted, and the secret of their receipt."""

    desk: Desk
    account: UUID = field(default_factory=uuid4)
    erasure: UUID = field(default_factory=uuid4)
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    approved_at: datetime = field(init=False)

    async def plan(self) -> privacy_pb2.DeletionPlan:
        return await self.desk.calls.PreviewDeletion(
            privacy_pb2.PreviewDeletionRequest(),
            metadata=self.desk.around.signed_in(self.account),
            timeout=20,
        )

    async def approve(self, plan_hash: str, *buckets: promises_pb2.Bucket, **different: Any) -> Any:
        """As identity asks for it, with what holders say now."""
        plans = [promises_pb2.Plan(holder=name, buckets=buckets or [ERASED]) for name in OTHERS]
        plans.append(promises_pb2.Plan(holder="privacy", buckets=self.desk.own))
        usual = {
            "account": f"accounts/{self.account}",
            "erasure": f"erasures/{self.erasure}",
            "plan_hash": plan_hash,
            "receipt_secret_hash": hashlib.sha256(self.secret.encode()).digest(),
            "plans": plans,
        }
        request = privacy_pb2.ApproveErasureRequest(**(usual | different))
        return await refusing(self.desk.identity.ApproveErasure(request, timeout=20))

    async def deleted(self) -> None:
        """Identity says so."""
        event = events_pb2.AccountDeleted(
            account=f"accounts/{self.account}", erasure=f"erasures/{self.erasure}"
        )
        event.delete_time.FromDatetime(self.desk.clock.now())
        await self.desk.around.announce("identity", event)

    async def answer(self, *holders: str) -> None:
        """They say that they are done."""
        for name in holders or OTHERS:
            kind = ANSWERS[name]
            event = kind(account=f"accounts/{self.account}", erasure=f"erasures/{self.erasure}")
            await self.desk.around.announce(name, event)

    async def look(self, secret: str | None = None) -> privacy_pb2.Erasure:
        request = privacy_pb2.GetErasureRequest(name=f"erasures/{self.erasure}")
        return await refusing(self.desk.calls.GetErasure(request, metadata=self._shown(secret), timeout=20))

    async def document(self, which: str) -> str:
        """The receipt or the supplement."""
        kind = {"receipt": privacy_pb2.GetReceiptRequest, "supplement": privacy_pb2.GetSupplementRequest}[
            which
        ]
        call = {"receipt": self.desk.calls.GetReceipt, "supplement": self.desk.calls.GetSupplement}[which]
        request = kind(name=f"erasures/{self.erasure}")
        body = await refusing(call(request, metadata=self._shown(None), timeout=20))
        return bytes(body.data).decode()

    def _shown(self, secret: str | None) -> tuple[tuple[str, str], ...]:
        return ((SECRET, self.secret if secret is None else secret),)

    async def signed(self) -> dict[str, Any]:
        """The receipt, verified with the published keys, once it is there."""
        await eventually(lambda: self._in(privacy_pb2.RECEIPT_SIGNED), timeout=30)
        return await self.desk.verified(await self.document("receipt"))

    async def _in(self, *states: int) -> bool:
        return (await self.look()).state in states

    async def approved(self) -> Person:
        answer = await self.approve((await self.plan()).plan_hash)
        self.approved_at = answer.approve_time.ToDatetime(tzinfo=UTC)
        return self

    async def void(self, approved_at: datetime) -> None:
        """Identity takes an approval back."""
        request = privacy_pb2.VoidErasureRequest(erasure=f"erasures/{self.erasure}")
        request.approve_time.FromDatetime(approved_at)
        await self.desk.identity.VoidErasure(request, timeout=20)

    async def holder(self, name: str) -> privacy_pb2.HolderProgress:
        return next(each for each in (await self.look()).holders if each.holder == name)


async def refusing(call: Any) -> Any:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise refusal_from(error) from None


@dataclass
class Desk:
    """Privacy with holders that tests play."""

    around: Neighbours
    played: Played
    calls: PrivacyServiceStub
    identity: PrivacyServiceStub
    folder: Path
    own: list[promises_pb2.Bucket] = field(default_factory=list)

    @property
    def clock(self) -> FakeClock:
        return cast(FakeClock, self.around.service.clock)

    @property
    def erasures(self) -> Erasures:
        return Erasures(self.around.service.db)

    async def person(self) -> Person:
        """Somebody with an account."""
        person = Person(self)
        await self.around.announce("identity", verified(person.account))
        await eventually(lambda: self.around.service.db.first(KNOWN, account=person.account))
        plan = await person.plan()
        self.own = [
            promises_pb2.Bucket(fate=each.fate, ground=each.ground)
            for each in plan.buckets
            if each.fate != promises_pb2.ANONYMISED
        ]
        return person

    async def verified(self, compact: str) -> dict[str, Any]:
        body = await self.calls.GetReceiptKeys(privacy_pb2.GetReceiptKeysRequest(), timeout=20)
        keys = KeySet.import_key_set(json.loads(body.data))
        return cast(dict[str, Any], json.loads(jws.deserialize_compact(compact, keys).payload))

    async def in_time(self, check: Callable[[], bool | Awaitable[bool]]) -> None:
        """As `eventually`, while the clock goes on: who is looked at as it moves is due again later."""

        async def a_second_later() -> bool:
            self.clock.forward(timedelta(seconds=1))
            found = check()
            return found if isinstance(found, bool) else await found

        await eventually(a_second_later, timeout=20)

    async def nobody_else_is_late(self) -> None:
        """What other tests left half done is set aside."""
        await self.around.service.db.execute(SET_ASIDE)

    async def standing(self) -> set[UUID]:
        """Whose tombstones stand."""
        ledger = Ledger(*place(self.around.service.settings))
        return {wanted.account for wanted in await ledger.standing()}


@pytest.fixture(scope="module")
async def infra() -> AsyncIterator[Infra]:
    """Servers of their own: what another privacy in this process hears from the bus is lost to this one."""
    async with servers() as started:
        yield started


@pytest.fixture(scope="module")
async def desk(infra: Infra, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    folder = tmp_path_factory.mktemp("receipts")
    async with played(infra) as holders:
        own = f"127.0.0.1:{free_port()}"  # it asks itself as it asks the others
        told = settings_for(infra, "privacy", privacy=own, **holders.addresses)
        settings = Settings(**(told | {"listen": own}))
        keys = ReceiptKeys(signing_key(folder, "first").parent)

        async def wire(service: Service) -> None:
            await compose(service, settings, keys)

        async with in_process(infra, settings, "privacy", Row.metadata, wire) as around:
            calls = PrivacyServiceStub(await around.channel("gateway"))
            identity = PrivacyServiceStub(await around.channel("identity"))
            yield Desk(around, holders, calls, identity, folder)


@pytest.fixture(autouse=True)
def holders(desk: Desk) -> Played:
    desk.played.reset()
    return desk.played


@pytest.mark.promise("9-delete-preview", "9-copies", "9-backup-30d")
async def test_a_plan_speaks_in_the_policys_words_and_sums_up_all_holders(
    desk: Desk, holders: Played
) -> None:
    person = await desk.person()
    holders["assets"].buckets = [ERASED, STAYS]
    until = desk.clock.now() + timedelta(days=181)
    holders["identity"].buckets = [ERASED, kept(FRAUD, until, EMAIL=1), kept(FAREWELL, until, EMAIL=1)]
    plan = await person.plan()
    fates = {(each.fate, each.ground): each for each in plan.buckets}
    policy = await desk.calls.GetPolicy(privacy_pb2.GetPolicyRequest(), timeout=20)
    gone = fates[promises_pb2.ERASED_NOW, ""]
    assert {each.category: each.count for each in gone.counts}["CONTENT"] == 12
    assert gone.policy_text.startswith("On account deletion: We immediately delete")
    assert (
        "Copies shared or embedded by others may persist." in fates[promises_pb2.ANONYMISED, ""].policy_text
    )
    backups = next(each for each in plan.buckets if each.fate == promises_pb2.IN_BACKUPS_UNTIL)
    assert "up to 30 days" in backups.policy_text
    for each in plan.buckets:
        ours = OUR_WORDS.get(each.ground, "")
        assert each.policy_text, each
        assert each.policy_text == ours or all(part in policy.text for part in each.policy_text.split(". "))
    stays = {each.ground: each for each in plan.buckets if each.fate == promises_pb2.RETAINED_UNTIL}
    assert stays.keys() == {FRAUD, FAREWELL, TOMBSTONE_GROUND}
    assert "up to 6 months after account deletion" in stays[FRAUD].policy_text
    assert stays[FRAUD].until.ToDatetime(UTC) == until
    assert [stays[each].policy_text for each in OUR_WORDS] == list(OUR_WORDS.values())
    assert not plan.silent_holders


@pytest.mark.promise("9-delete-preview")
async def test_who_is_silent_is_named_and_blocks_nothing(desk: Desk, holders: Played) -> None:
    person = await desk.person()
    holders["billing"].down = True
    plan = await person.plan()
    assert list(plan.silent_holders) == ["billing"]
    await person.approve(plan.plan_hash)
    assert person.account in await desk.standing()


@pytest.mark.promise("9-delete-preview")
async def test_other_counts_are_the_same_plan_and_other_fates_are_not(desk: Desk, holders: Played) -> None:
    person = await desk.person()
    plan = await person.plan()
    more = promises_pb2.Bucket()
    more.CopyFrom(ERASED)
    more.counts[0].count = 4711
    with pytest.raises(Refusal) as refused:
        await person.approve(plan.plan_hash, ERASED, STAYS)
    assert refused.value.reason == "DELETION_PLAN_CHANGED"
    assert refused.value.violations == (("ANONYMISED", "is new"),)
    assert person.account not in await desk.standing()
    new = refused.value.metadata["planHash"]
    await person.approve(new, more, STAYS)  # the one that the refusal tells of
    assert person.account in await desk.standing()
    assert (await person.holder("assets")).found_before == 4712


@pytest.mark.promise("9-delete-preview")
async def test_another_ground_or_a_fate_that_is_no_more_is_another_plan(desk: Desk, holders: Played) -> None:
    person = await desk.person()
    until, law = desk.clock.now() + timedelta(days=181), "as another law demands"
    before, after = kept(FRAUD, until, EMAIL=1), kept(law, until, EMAIL=1)
    holders["identity"].buckets = [ERASED, STAYS, before]
    shown = (await person.plan()).plan_hash
    longer = kept(FRAUD, until + timedelta(days=1), EMAIL=2)
    changes = [
        (
            (ERASED, STAYS, after),
            ((f"RETAINED_UNTIL {law}", "is new"), (f"RETAINED_UNTIL {FRAUD}", "is no more")),
        ),
        ((ERASED, longer), (("ANONYMISED", "is no more"),)),
    ]
    for buckets, violations in changes:
        with pytest.raises(Refusal) as refused:
            await person.approve(shown, *buckets)
        assert refused.value.reason == "DELETION_PLAN_CHANGED"
        assert refused.value.violations == violations
        assert all(f"{what} {how}" in refused.value.metadata["changes"] for what, how in violations)
        assert person.account not in await desk.standing()
    await person.approve(shown, ERASED, STAYS, longer)  # another date and number are the same plan
    assert person.account in await desk.standing()


@pytest.mark.promise("9-delete-preview")
async def test_nobody_approves_what_they_were_not_shown(desk: Desk) -> None:
    person, other = await desk.person(), await desk.person()
    with pytest.raises(Refusal) as refused:
        await person.approve("0" * 64)
    assert refused.value.reason == "DELETION_PLAN_UNKNOWN"
    plan = await other.plan()
    desk.clock.forward(timedelta(hours=25))
    with pytest.raises(Refusal) as refused:
        await other.approve(plan.plan_hash)
    assert refused.value.reason == "DELETION_PLAN_UNKNOWN"


@promise
async def test_the_same_wish_is_approved_again_and_another_under_its_name_is_not(desk: Desk) -> None:
    person = await desk.person()
    plan = await person.plan()
    await person.approve(plan.plan_hash)
    await person.approve(plan.plan_hash)
    with pytest.raises(Refusal) as refused:
        await person.approve(plan.plan_hash, receipt_secret_hash=bytes(32))
    assert refused.value.reason == "REQUEST_ID_REUSED"


@promise
async def test_without_the_ledger_nobody_is_deleted(desk: Desk, infra: Infra) -> None:
    person = await desk.person()
    plan, ledger = await person.plan(), desk.around.service
    keys = ledger_of(infra, "billing")  # who may read it, and not write
    broken = Settings(**{**settings_for(infra, "privacy", **desk.played.addresses), **keys})
    async with Service("privacy", broken, metadata=Row.metadata, clock=ledger.clock) as service:
        await compose(service, broken, ReceiptKeys(desk.folder))
        address = await service.start()
        try:
            async with calling(address, infra.tls_dir("identity"), to="privacy") as channel:
                other = Person(desk, person.account)
                desk_identity, desk.identity = desk.identity, PrivacyServiceStub(channel)
                try:
                    await desk.around.announce("identity", verified(other.account))
                    with pytest.raises(Refusal):
                        await other.approve(plan.plan_hash)
                finally:
                    desk.identity = desk_identity
        finally:
            await service.drain(1)
    assert person.account not in await desk.standing()


@promise
async def test_what_identity_takes_back_does_not_count(desk: Desk) -> None:
    person = await (await desk.person()).approved()
    assert person.account in await desk.standing()
    await person.void(person.approved_at)
    assert person.account not in await desk.standing()
    assert (await person.look()).state == privacy_pb2.VOIDED


@promise
async def test_what_was_taken_back_may_be_wanted_again_under_the_same_name_and_then_counts(
    desk: Desk,
) -> None:
    person = await (await desk.person()).approved()
    first = person.approved_at
    await person.void(first)
    desk.clock.forward(timedelta(seconds=4))
    await person.approved()
    assert (await person.look()).state == privacy_pb2.APPROVED
    assert person.account in await desk.standing()
    await person.void(first)  # late, and about what is over
    assert (await person.look()).state == privacy_pb2.APPROVED
    assert person.account in await desk.standing()


@promise
async def test_an_approval_that_led_to_nothing_is_looked_into(desk: Desk, holders: Played) -> None:
    person = await (await desk.person()).approved()
    desk.clock.forward(timedelta(seconds=25))
    await person.approved()  # nobody heard the first answer: it has a tombstone too
    for each in holders.holders.values():
        each.progress = promises_pb2.PROGRESS_UNSPECIFIED  # the account lives
    desk.clock.forward(IN_DOUBT - timedelta(seconds=20))
    assert (await person.look()).state == privacy_pb2.APPROVED  # it is the second that counts
    desk.clock.forward(timedelta(seconds=21))
    await eventually(lambda: person._in(privacy_pb2.VOIDED))
    assert person.account not in await desk.standing()


@promise
async def test_an_approval_that_somebody_went_by_is_carried_out_by_all(desk: Desk, holders: Played) -> None:
    person = await (await desk.person()).approved()
    for each in holders.holders.values():
        each.progress = promises_pb2.PROGRESS_UNSPECIFIED
    holders["assets"].progress = promises_pb2.FINISHED  # it started meanwhile, and read the ledger
    desk.clock.forward(IN_DOUBT + timedelta(seconds=1))
    await eventually(lambda: person._in(privacy_pb2.ERASING))
    assert person.account in await desk.standing()


@promise
async def test_an_approval_whose_news_was_lost_is_carried_out(desk: Desk) -> None:
    person = await (await desk.person()).approved()
    desk.clock.forward(IN_DOUBT + timedelta(seconds=1))
    await eventually(lambda: person._in(privacy_pb2.ERASING))


@promise
@pytest.mark.promise("9-delete-preview")
async def test_the_receipt_follows_when_nothing_is_found_any_more(desk: Desk, holders: Played) -> None:
    person = await (await desk.person()).approved()
    await person.deleted()
    await person.answer("identity", "assets", "billing")
    await eventually(lambda: _looked(holders, "identity", "assets", "billing"))
    assert (await person.look()).state == privacy_pb2.ERASING
    with pytest.raises(Refusal) as refused:
        await person.document("receipt")
    assert refused.value.reason == "RECEIPT_NOT_READY"
    await person.answer("generation")
    receipt = await person.signed()
    assert receipt["erasure"] == f"erasures/{person.erasure}"
    assert {each["holder"] for each in receipt["holders"]} == {*OTHERS, "privacy"}
    lines = [line for each in receipt["holders"] for line in each["data"]]
    assert {"category": "CONTENT", "fate": "ERASED_NOW", "foundBefore": 3, "leftNow": 0} in lines
    assert all(line["leftNow"] == 0 for line in lines)
    assert receipt["bus"]["leftNow"] == 0
    assert str(person.account) not in json.dumps(receipt)


@promise
@pytest.mark.promise("9-delete-preview", "9-backup-30d", "9-fraud-6m")
async def test_the_receipt_has_the_real_counts_what_stays_until_when_and_who_was_not_counted(
    desk: Desk, holders: Played
) -> None:
    person, deleted = await desk.person(), desk.clock.now()
    until, backups = deleted + timedelta(days=181), promises_pb2.Bucket()
    backups.CopyFrom(kept(BACKUPS_GROUND, deleted + timedelta(days=30), CONTENT=3))
    backups.fate = promises_pb2.IN_BACKUPS_UNTIL
    stays = kept(FRAUD, until, EMAIL=1, DEVICE=4)
    holders["identity"].buckets = [ERASED, stays, backups]
    shown = (await person.plan()).plan_hash
    more = promises_pb2.Bucket(fate=promises_pb2.ERASED_NOW)
    more.counts.add(category="CONTENT", count=4711)
    said = {
        "identity": [ERASED, stays, backups],
        "assets": [more],
        "generation": [ERASED],
        "privacy": desk.own,
    }
    plans = [promises_pb2.Plan(holder=name, buckets=buckets) for name, buckets in said.items()]
    await person.approve(shown, plans=plans)  # billing is silent
    await person.deleted()
    await person.answer("identity")
    await eventually(lambda: _stands(person, "identity", privacy_pb2.VERIFIED))
    desk.clock.forward(timedelta(seconds=1))
    await person.answer("assets", "generation", "billing")
    receipt, signed = await person.signed(), desk.clock.now()
    assert (receipt["approved"], receipt["deleted"], receipt["signed"]) == (
        stamp(deleted), stamp(deleted), stamp(signed),
    )  # fmt: skip
    found = {each["holder"]: each for each in receipt["holders"]}
    first, later = ({"answered": stamp(at), "verified": stamp(at)} for at in (deleted, signed))
    three = {"category": "CONTENT", "fate": "ERASED_NOW", "foundBefore": 3, "leftNow": 0}
    assert found["identity"] == {"holder": "identity", **first, "counted": True, "data": [three]}
    assert found["assets"] == {
        "holder": "assets", **later, "counted": True, "data": [{**three, "foundBefore": 4711}]
    }  # fmt: skip
    assert found["generation"] == {"holder": "generation", **later, "counted": True, "data": [three]}
    assert found["billing"] == {"holder": "billing", **later, "counted": False, "data": []}
    on = {"holder": "identity", "ground": FRAUD, "until": stamp(until)}
    assert [
        {**each, "until": stamp(datetime.fromisoformat(each["until"]))} for each in receipt["retained"]
    ] == [
        {**on, "category": "EMAIL", "count": 1},
        {**on, "category": "DEVICE", "count": 4},
    ]
    assert datetime.fromisoformat(receipt["inBackupsUntil"]) == deleted + timedelta(days=30)
    assert receipt["scrubbedUntil"] == stamp(signed + timedelta(hours=24))
    written = json.dumps(receipt)
    assert not [each for each in (str(person.account), person.account.hex, person.secret) if each in written]


def stamp(at: datetime) -> str:
    """As receipts write a time."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"


async def _stands(person: Person, holder: str, state: int) -> bool:
    return (await person.holder(holder)).state == state


def _looked(holders: Played, *names: str) -> bool:
    return all(holders[name].looked for name in names)


@promise
async def test_the_bus_is_emptied_of_the_person_and_of_nobody_else(desk: Desk, infra: Infra) -> None:
    person, other = await (await desk.person()).approved(), await desk.person()
    await person.deleted()
    await person.answer()
    receipt = await person.signed()
    assert receipt["bus"]["foundBefore"] >= 2
    bus = await nats.connect(infra.nats.admin_url, tls=infra.nats.tls)
    try:
        assert await _about(bus, person.account) == 0
        assert await _about(bus, other.account) > 0
    finally:
        await bus.close()


async def _about(bus: Any, account: UUID) -> int:
    found = 0
    for stream in ("IDENTITY", "ASSETS", "GENERATION", "BILLING", "PRIVACY"):
        info = await bus.jsm().stream_info(stream, subjects_filter=f"crafiq.*.v1.*.{account}")
        found += sum((info.state.subjects or {}).values())
    return found


@promise
async def test_who_does_not_answer_is_asked_again_with_growing_delay(desk: Desk, holders: Played) -> None:
    await desk.nobody_else_is_late()
    person = await (await desk.person()).approved()
    silent, watch = holders["billing"], Watch(desk.erasures, desk.clock)
    silent.down = True
    reminded = counted(REMINDERS, holder="billing", cause="UNAVAILABLE")
    await person.deleted()
    await person.answer("identity", "assets", "generation")
    await eventually(lambda: _all_but_billing(person))
    for tries, seconds in enumerate((3, 3, 5, 9), 1):
        desk.clock.forward(timedelta(seconds=seconds))
        await eventually(lambda tries=tries: _tries(person, "billing", tries), timeout=20)
    assert silent.asked.count(f"accounts/{person.account}") == 4
    waiting = await person.holder("billing")
    assert (waiting.state, waiting.cause) == (privacy_pb2.WAITING, "UNAVAILABLE")
    assert (await person.look()).state == privacy_pb2.ERASING
    assert counted(REMINDERS, holder="billing", cause="UNAVAILABLE") == reminded + 4
    await watch.look()
    assert counted("crafiq_erasures_overdue") == 0
    desk.clock.forward(timedelta(seconds=61))
    await watch.look()
    assert counted("crafiq_erasures_overdue") == 1
    silent.down = False
    await person.answer("billing")
    assert (await person.signed())["holders"]
    await watch.look()
    assert counted("crafiq_erasures_overdue") == 0


@promise
async def test_a_late_answer_is_all_that_is_waited_for(desk: Desk, holders: Played) -> None:
    person = await (await desk.person()).approved()
    await person.deleted()
    await person.answer("identity", "assets", "generation")
    await eventually(lambda: _stands(person, "assets", privacy_pb2.VERIFIED))
    holders["assets"].down = True  # it has been looked through, and need not be there any more
    looks = holders["assets"].looked
    await person.answer("billing")
    assert (await person.signed())["holders"]
    assert holders["assets"].looked == looks


def counted(name: str, **labels: str) -> float:
    """A metric of this process."""
    return REGISTRY.get_sample_value(name, labels) or 0


@promise
@pytest.mark.parametrize(("trouble", "cause"), [("slow", "UNAVAILABLE"), ("refuses", "CALLER_NOT_ALLOWED")])
async def test_who_is_slow_or_refuses_is_asked_until_it_is_done_and_no_longer(
    desk: Desk, holders: Played, monkeypatch: pytest.MonkeyPatch, trouble: str, cause: str
) -> None:
    person, billing = await (await desk.person()).approved(), holders["billing"]
    setattr(billing, trouble, True)
    await person.deleted()
    await person.answer("identity", "assets", "generation")
    await eventually(lambda: _all_but_billing(person))
    for patience in ("PATIENCE", "LOOKING"):
        monkeypatch.setattr(services.privacy.adapters.holders, patience, 0.2)
    desk.clock.forward(timedelta(seconds=3))
    await eventually(lambda: _tries(person, "billing", 1))
    waiting = await person.holder("billing")
    assert (waiting.state, waiting.cause) == (privacy_pb2.WAITING, cause)
    await person.answer("billing")  # it says that it is done, and does not let anybody look
    await eventually(lambda: _stands(person, "billing", privacy_pb2.ANSWERED))
    looks = billing.looked
    await desk.in_time(lambda: billing.looked > looks + 1)
    waiting = await person.holder("billing")
    assert (waiting.state, waiting.cause) == (privacy_pb2.ANSWERED, cause)
    assert (await person.look()).state == privacy_pb2.ERASING
    setattr(billing, trouble, False)
    await desk.in_time(lambda: person._in(privacy_pb2.RECEIPT_SIGNED))


async def _all_but_billing(person: Person) -> bool:
    """That it was deleted has been heard and those others are through: only now may the clock go on."""
    done = [each.holder for each in (await person.look()).holders if each.state == privacy_pb2.VERIFIED]
    return {"identity", "assets", "generation"} <= {*done}


async def _tries(person: Person, holder: str, tries: int) -> bool:
    return (await person.holder(holder)).tries == tries


@promise
async def test_who_lies_is_found_out(desk: Desk, holders: Played) -> None:
    person = await (await desk.person()).approved()
    liar = holders["assets"]
    liar.left, liar.obeys = {"MEDIA": 2}, False
    await person.deleted()
    await person.answer()
    await eventually(lambda: _left(person, "assets", 2))
    desk.clock.forward(timedelta(seconds=3))
    await eventually(lambda: f"accounts/{person.account}" in liar.asked)
    assert (await person.look()).state == privacy_pb2.ERASING
    liar.left.clear()
    await person.answer("assets")
    await person.signed()


async def _left(person: Person, holder: str, left: int) -> bool:
    return (await person.holder(holder)).left_now == left


async def _cause(person: Person, holder: str, cause: str) -> bool:
    return (await person.holder(holder)).cause == cause


@promise
async def test_who_says_it_is_done_and_knows_of_nothing_is_asked_again(desk: Desk, holders: Played) -> None:
    person = await (await desk.person()).approved()
    holders["generation"].progress = promises_pb2.PROGRESS_UNSPECIFIED
    await person.deleted()
    await person.answer()
    await eventually(lambda: _left(person, "generation", 1))
    holders["generation"].progress = promises_pb2.FINISHED
    desk.clock.forward(timedelta(seconds=3))
    await eventually(lambda: f"accounts/{person.account}" in holders["generation"].asked)
    await person.answer("generation")
    await person.signed()


@promise
async def test_messages_under_way_are_waited_for_before_the_bus_is_emptied(
    desk: Desk, holders: Played
) -> None:
    person = await (await desk.person()).approved()
    holders["billing"].waiting = 1
    await person.deleted()
    await person.answer()
    await eventually(lambda: _cause(person, "billing", "MESSAGES_WAITING"))
    looks = holders["billing"].looked
    await eventually(lambda: holders["billing"].looked > looks)
    assert (await person.look()).state == privacy_pb2.ERASING
    holders["billing"].waiting = 0
    await person.signed()


@promise
async def test_a_message_that_waits_for_ever_goes_with_another_erasing(desk: Desk, holders: Played) -> None:
    person = await (await desk.person()).approved()
    holders["billing"].waiting = 1  # a dead letter that came after the rows had gone
    await person.deleted()
    await person.answer()
    await eventually(lambda: _cause(person, "billing", "MESSAGES_WAITING"))
    asked, whose = holders["billing"].asked, f"accounts/{person.account}"
    assert whose not in asked
    desk.clock.forward(timedelta(seconds=61))
    await eventually(lambda: whose in asked)
    holders["billing"].waiting = 0  # it is gone with what was erased again
    await person.answer("billing")
    await person.signed()


@promise
async def test_all_news_twice_and_in_the_wrong_order_end_the_same(desk: Desk) -> None:
    person = await (await desk.person()).approved()
    for _ in range(2):
        await person.answer()
        await person.deleted()
    first = await person.signed()
    await person.deleted()
    await person.answer()
    assert (await person.look()).state == privacy_pb2.RECEIPT_SIGNED
    assert await desk.verified(await person.document("receipt")) == first


@promise
async def test_only_who_has_the_secret_sees_it(desk: Desk) -> None:
    person = await (await desk.person()).approved()
    for secret in ("", "wrong" * 6, person.secret + "x"):
        with pytest.raises(Refusal) as refused:
            await person.look(secret)
        assert refused.value.reason == "ERASURE_NOT_FOUND"
    nobodys = Person(desk, secret=person.secret)
    with pytest.raises(Refusal) as refused:
        await nobodys.look()
    assert refused.value.reason == "ERASURE_NOT_FOUND"
    cookie = (("cookie", f"a=b; __Secure-crafiq_receipt={person.secret}"),)
    request = privacy_pb2.GetErasureRequest(name=f"erasures/{person.erasure}")
    assert (await desk.calls.GetErasure(request, metadata=cookie, timeout=20)).name == request.name


@promise
async def test_who_watches_sees_every_step_to_the_receipt(desk: Desk) -> None:
    person = await (await desk.person()).approved()
    request = privacy_pb2.WatchErasureRequest(name=f"erasures/{person.erasure}")
    stream = desk.calls.WatchErasure(request, metadata=((SECRET, person.secret),), timeout=45)
    seen: list[str] = []
    async for body in stream:
        text = bytes(body.data).decode()
        if text.startswith("id:"):
            seen.append(json.loads(text.partition("data: ")[2])["state"])
            if len(seen) == 1:
                await person.deleted()
            elif seen[-1] == "ERASING":
                await person.answer()
    assert (seen[0], seen[-1]) == ("APPROVED", "RECEIPT_SIGNED")
    assert "ERASING" in seen


@pytest.mark.promise("5-egress-log", "9-delete-now")
async def test_the_supplement_follows_the_scrub_and_the_vendors_clocks_and_forgets_whose_it_was(
    desk: Desk, holders: Played
) -> None:
    person = await (await desk.person()).approved()
    until = promises_pb2.VendorCopies(vendor="vendors/openai", count=2)
    until.until.FromDatetime(desk.clock.now() + timedelta(days=30))
    holders["generation"].copies = [until]
    await person.deleted()
    await person.answer()
    receipt = await person.signed()
    assert [(each["vendor"], each["count"]) for each in receipt["vendorCopies"]] == [("vendors/openai", 2)]
    desk.clock.forward(timedelta(minutes=5))
    now = desk.clock.now()
    fields = {"began_at": now, "ended_at": now, "searched_bytes": 10**9, "searched_values": 3}
    await desk.erasures.report(Scrub(id=uuid4(), hits=1, **fields))  # one that found something does not count
    await desk.erasures.report(Scrub(id=uuid4(), hits=0, **fields))
    looks = holders["generation"].looked
    await eventually(lambda: holders["generation"].looked > looks)
    with pytest.raises(Refusal) as refused:
        await person.document("supplement")
    assert refused.value.reason == "SUPPLEMENT_NOT_READY"
    holders["generation"].copies = []
    desk.clock.forward(timedelta(minutes=2))
    await eventually(lambda: person._in(privacy_pb2.CLOSED), timeout=30)
    supplement = await desk.verified(await person.document("supplement"))
    assert supplement["scrub"]["hits"] == 0
    case = await desk.erasures.get(person.erasure)
    assert case is not None
    assert case.account is None
    assert await desk.verified(await person.document("receipt")) == receipt


@promise
async def test_old_receipts_verify_after_the_key_has_changed(desk: Desk, infra: Infra) -> None:
    person = await (await desk.person()).approved()
    await person.deleted()
    await person.answer()
    await person.signed()
    signing_key(desk.folder, "second")
    await desk.erasures.keep_keys(ReceiptKeys(desk.folder).public)
    compact = await person.document("receipt")
    (desk.folder / "first.pem").rename(desk.folder / "first.gone")
    try:
        assert (await desk.verified(compact))["erasure"] == f"erasures/{person.erasure}"
        keys = ReceiptKeys(desk.folder)
        assert jws.extract_compact(keys.sign("t", {"a": 1}).encode()).headers()["kid"] == "second"
    finally:
        (desk.folder / "first.gone").rename(desk.folder / "first.pem")


@promise
@pytest.mark.promise("8-restore-check")
async def test_an_erasure_that_this_database_lost_is_looked_through_again(desk: Desk) -> None:
    person = await desk.person()  # approved before the backup was made that privacy was restored from
    await person.deleted()

    async def known() -> bool:
        return await desk.erasures.get(person.erasure) is not None

    await eventually(known)
    await person.answer()

    async def signed() -> bool:
        case = await desk.erasures.get(person.erasure)
        return case is not None and case.receipt is not None

    await eventually(signed)
    with pytest.raises(Refusal):
        await person.look("")


async def test_a_tombstone_cannot_be_removed_before_its_time(desk: Desk, infra: Infra) -> None:
    person = await (await desk.person()).approved()
    keys = infra.s3.credentials_of("privacy")
    url = infra.s3.url.removeprefix("http://")
    client = Minio(url, access_key=keys.access, secret_key=keys.secret, secure=False, region="us-east-1")
    listed = client.list_objects("crafiq-tombstones", recursive=True, include_version=True)
    [mine] = [each for each in listed if str(person.account) in (each.object_name or "")]
    with pytest.raises(Exception, match="Access Denied"):
        client.remove_object("crafiq-tombstones", str(mine.object_name), version_id=mine.version_id)
    client.remove_object("crafiq-tombstones", str(mine.object_name))  # a marker that hides it from others
    assert person.account in await desk.standing()


def test_every_event_that_answers_is_a_holders_own() -> None:
    assert {kind.DESCRIPTOR.full_name for kind in ANSWERS.values()} == {
        f"crafiq.{name}.v1.AccountErased" for name in OTHERS
    }
    assert all(issubclass(kind, Message) for kind in ANSWERS.values())
