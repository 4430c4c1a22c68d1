"""What nobody uses and nobody packs goes, and not before its owner was told twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from crafiq.assets.v1 import assets_pb2, events_pb2
from crafiq.identity.v1.events_pb2 import NoticeSent
from google.protobuf.field_mask_pb2 import FieldMask

from chassis.errors import Refusal
from deploy.local.infra import Infra
from services.assets.consumers import Consumers
from services.assets.jobs import Housekeeper
from tests.integration.assets import world as worlds
from tests.integration.assets.test_deleting import deleted
from tests.integration.assets.test_leftovers import sweeper
from tests.integration.assets.test_packs import a_pack, added
from tests.integration.assets.test_publishing import published
from tests.integration.assets.world import LIBRARY, Person, World, header_for
from tests.support import Announced, FakeClock, eventually
from tests.unit.assets import makers

DAY = timedelta(days=1)
promise = pytest.mark.promise("9-housekeeping")


@pytest.fixture(scope="module")
def clock() -> FakeClock:
    return FakeClock(datetime.now(UTC))


@pytest.fixture(scope="module")
async def world(infra: Infra, clock: FakeClock) -> AsyncIterator[World]:
    """One whose time these tests let pass. What others announce may be given to the other world's service."""
    async with worlds.world(infra, clock) as made:
        yield made


@pytest.fixture
async def ada(world: World) -> Person:
    person = Person(world)
    await world.sql("INSERT INTO subjects (account, since) VALUES ($1, now())", person.id)
    return person


@pytest.fixture(autouse=True)
def today(clock: FakeClock) -> None:
    """Storage lives in our time: what comes in comes before time passes."""
    clock.forward(datetime.now(UTC) - clock.now())


class Years:
    """Time passes for a person; somebody looks after the house, and mails go out."""

    def __init__(self, world: World, clock: FakeClock, person: Person, announced: Announced) -> None:
        self.world, self.clock, self.person, self._announced = world, clock, person, announced
        self.began = clock.now()

    async def pass_until(self, day: float) -> None:
        """Until so many days after the beginning; the house is looked after then."""
        self.clock.forward(self.began + day * DAY - self.clock.now())
        await Housekeeper(self.world.desk.countdowns, self.world.desk.library).run()

    async def notices(self, number: int) -> list[events_pb2.RemovalScheduled]:
        """What the person is to be told, all of it, when it is this many times."""
        await eventually(self._relayed)
        if not number:
            assert not await self.world.sql("SELECT FROM countdowns WHERE account = $1", self.person.id)
            return []
        told = await self._announced(events_pb2.RemovalScheduled, self.person.account, number)
        assert len(told) == number
        return told

    async def _relayed(self) -> bool:
        about = f"%.{self.person.id}"
        return not await self.world.sql("SELECT FROM outbox WHERE subject LIKE $1", about)

    async def told(self, number: int) -> events_pb2.RemovalScheduled:
        """The mail of notice number so-and-so goes out."""
        notice = (await self.notices(number))[-1]
        await self.heard(self.sent(notice.notice))
        return notice

    async def heard(self, event: NoticeSent) -> None:
        async with self.world.db.transaction() as tx:
            await Consumers().on_notice_sent(tx, event)

    def sent(self, notice: str) -> NoticeSent:
        event = NoticeSent(account=self.person.account, notice=notice)
        event.send_time.FromDatetime(self.clock.now())
        return event

    async def end_of(self, asset: str) -> float | None:
        """On which day an asset goes, as its owner is shown."""
        shown = await self.person.get(asset)
        listed = [each for each in (await self.person.list()).assets if each.name == asset]
        assert listed == [shown]
        if not shown.HasField("expire_time"):
            return None
        return round((shown.expire_time.ToDatetime(tzinfo=UTC) - self.began) / DAY, 1)

    async def library(self) -> list[str]:
        return [each.name for each in (await self.person.list()).assets]


@pytest.fixture
async def years(world: World, clock: FakeClock, ada: Person, announced: Announced) -> Years:
    return Years(world, clock, ada, announced)


def own(name: str) -> UUID:
    return UUID(name.rpartition("/")[2])


async def text(person: Person) -> str:
    return (await person.upload(makers.text(), "text/plain")).name


@promise
@pytest.mark.promise("9-delete-item")
async def test_what_nobody_uses_is_told_of_on_the_150th_and_the_173rd_day_and_goes_on_the_180th(
    years: Years, ada: Person, world: World, announced: Announced
) -> None:
    asset = await text(ada)
    key = await world.key_of(asset)
    assert await years.end_of(asset) == 180
    await years.pass_until(149.9)
    await years.notices(0)
    await years.pass_until(150)
    first = await years.told(1)
    assert first.count == 1
    assert first.remove_time.ToDatetime(tzinfo=UTC) == years.clock.now() + 30 * DAY
    await years.pass_until(172.9)
    await years.notices(1)
    await years.pass_until(173)
    second = await years.told(2)
    assert second.remove_time.ToDatetime(tzinfo=UTC) == years.clock.now() + 7 * DAY
    await years.pass_until(179.9)
    assert await years.end_of(asset) == 180
    await years.pass_until(180)
    assert await years.library() == []
    with pytest.raises(Refusal) as refused:
        await ada.get(asset)
    assert refused.value.reason == "ASSET_NOT_FOUND"
    (gone,) = await announced(events_pb2.AssetDeleted, ada.account)
    assert (gone.asset, gone.generation) == (asset, "")
    await sweeper(world).sweep_library()
    assert key not in world.keys(LIBRARY, ada)
    assert not await world.sql("SELECT FROM countdowns WHERE account = $1", ada.id)
    await years.notices(2)


@promise
async def test_an_output_goes_as_an_input_does(years: Years, ada: Person, announced: Announced) -> None:
    header = header_for(ada, makers.png())
    made = await ada.world.store(header, makers.png())
    for number, day in enumerate((150, 173), start=1):
        await years.pass_until(day)
        await years.told(number)
    await years.pass_until(180)
    assert await years.library() == []
    (gone,) = await announced(events_pb2.AssetDeleted, ada.account)
    assert (gone.asset, gone.generation) == (made.name, header.generation)


async def into_a_pack(person: Person, asset: str) -> None:
    await added(person, (await a_pack(person)).name, asset)


async def downloaded(person: Person, asset: str) -> None:
    await person.link(asset)


async def renamed(person: Person, asset: str) -> None:
    changed = assets_pb2.Asset(name=asset, title="A kettle")
    mask = FieldMask(paths=["title"])
    await person.call("UpdateAsset", assets_pb2.UpdateAssetRequest(asset=changed, update_mask=mask))


async def made_input(person: Person, asset: str) -> None:
    request = assets_pb2.CheckInputsRequest(account=person.account, assets=[asset])
    await person.world.call("CheckInputs", request, caller="generation")


async def made_public(person: Person, asset: str) -> None:
    # Its public copy is older than these years: storage would not take one from the future.
    await person.world.sql(
        "INSERT INTO publications (id, account, asset, attribution, kind, content_type, size_bytes, sha256,"
        " published_on, licence_version, licence_sha256, training_eligible, taken_down)"
        " VALUES ($1, $2, $3, 'ANONYMOUS', 'TEXT', 'text/plain', 1, '', now(), '', '', FALSE, FALSE)",
        uuid4(), person.id, own(asset),
    )  # fmt: skip


@promise
@pytest.mark.promise("3-packs")
@pytest.mark.parametrize(
    ("use", "ends"),
    [(into_a_pack, None), (made_public, None), (downloaded, 359), (renamed, 359), (made_input, 359)],
    ids=lambda each: getattr(each, "__name__", ""),
)
async def test_until_the_last_day_it_is_rescued_by(use: Any, ends: float | None, years: Years) -> None:
    asset, other = await text(years.person), await text(years.person)
    for number, day in enumerate((150, 173), start=1):
        await years.pass_until(day)
        assert (await years.told(number)).count == 2
    await years.pass_until(179)
    await use(years.person, asset)
    assert (await years.end_of(asset), await years.end_of(other)) == (ends, 180)
    await years.pass_until(182)
    assert await years.library() == [asset]
    await years.pass_until(328.9)
    await years.notices(2)
    await years.pass_until(700)
    await years.notices(3 if ends else 2)
    assert await years.library() == [asset]


@promise
@pytest.mark.promise("5-public-permanent")
async def test_what_is_public_never_goes_and_counts_from_when_its_owner_lets_go_of_it(
    years: Years, ada: Person
) -> None:
    asset = await text(ada)
    publication = await published(ada, asset)
    await years.pass_until(400)
    assert await years.end_of(asset) is None
    await years.pass_until(500)
    await ada.call("AnonymisePublication", assets_pb2.AnonymisePublicationRequest(name=publication.name))
    assert await years.end_of(asset) == 680
    await years.notices(0)


@promise
@pytest.mark.parametrize("by", ["taken out", "the pack is deleted"])
async def test_what_leaves_its_pack_begins_anew(by: str, years: Years, ada: Person) -> None:
    asset = await text(ada)
    pack = await a_pack(ada)
    await added(ada, pack.name, asset)
    assert await years.end_of(asset) is None
    await years.pass_until(170)
    await years.pass_until(250)
    if by == "taken out":
        await ada.call("RemoveAssets", assets_pb2.RemoveAssetsRequest(name=pack.name, assets=[asset]))
    else:
        await ada.call("DeletePack", assets_pb2.DeletePackRequest(name=pack.name))
    assert await years.end_of(asset) == 430
    await years.notices(0)


@promise
async def test_without_word_that_a_notice_went_out_nothing_goes(years: Years, ada: Person) -> None:
    asset = await text(ada)
    await years.pass_until(150)
    await years.notices(1)
    await years.pass_until(151)
    await years.notices(1)
    await years.pass_until(152)
    first, again = await years.notices(2)
    assert first.notice != again.notice
    await years.pass_until(600)
    await years.notices(3)
    assert await years.end_of(asset) == 630
    await years.told(3)
    await years.pass_until(623)
    await years.notices(4)
    await years.pass_until(640)
    assert await years.library() == [asset]
    await years.told(5)
    assert await years.end_of(asset) == 647
    await years.pass_until(646)
    assert await years.library() == [asset]
    await years.pass_until(647)
    assert await years.library() == []


@promise
async def test_a_notice_that_is_heard_of_twice_or_of_nothing_counts_once(years: Years, ada: Person) -> None:
    await text(ada)
    await years.pass_until(150)
    notice = await years.told(1)
    for event in (years.sent(notice.notice), years.sent(f"notices/{uuid4()}")):
        await years.heard(event)
    (row,) = await years.world.sql("SELECT told FROM countdowns WHERE account = $1", ada.id)
    assert row["told"] == 1


@promise
async def test_a_person_is_told_once_a_week_however_many_of_theirs_are_due(years: Years, ada: Person) -> None:
    assets = [await text(ada) for _ in range(4)]
    for asset, days in zip(assets, (0, 3, 7, 8), strict=True):
        later = "UPDATE assets SET idle_since = idle_since + $2::interval WHERE id = $1"
        await years.world.sql(later, own(asset), days * DAY)
    await years.pass_until(150)
    assert (await years.told(1)).count == 3
    await years.pass_until(157.5)
    await years.notices(1)
    await years.pass_until(158)
    assert (await years.told(2)).count == 1
    await years.pass_until(173)
    notice = await years.told(3)
    assert notice.count == 3
    assert notice.remove_time.ToDatetime(tzinfo=UTC) - years.clock.now() < 7.1 * DAY
    await years.pass_until(182.5)
    assert {*await years.library()} == {*assets[1:]}
    await years.pass_until(183.5)
    assert {*await years.library()} == {*assets[2:]}


@promise
async def test_what_is_used_every_day_is_noted_once_a_day(years: Years, ada: Person) -> None:
    asset = await text(ada)
    for hour in (1, 23, 25, 47):
        await years.pass_until(hour / 24)
        await ada.link(asset)
    (row,) = await years.world.sql("SELECT idle_since FROM assets WHERE id = $1", own(asset))
    assert row["idle_since"] == years.began + timedelta(hours=25)


@promise
async def test_of_a_rescue_and_a_removal_at_the_same_moment_one_comes_first(
    years: Years, ada: Person
) -> None:
    assets = [await text(ada) for _ in range(6)]
    for number, day in enumerate((150, 173), start=1):
        await years.pass_until(day)
        await years.told(number)
    years.clock.forward(years.began + 180 * DAY - years.clock.now())
    pack = (await a_pack(ada)).name
    housekeeper = Housekeeper(years.world.desk.countdowns, years.world.desk.library)
    rescues = [added(ada, pack, asset) for asset in assets]
    await asyncio.gather(housekeeper.run(), *rescues, return_exceptions=True)
    await housekeeper.run()
    left = await years.library()
    packed = await ada.call("GetPack", assets_pb2.GetPackRequest(name=pack))
    assert sorted(left) == sorted(packed.assets)


@promise
async def test_the_number_of_days_is_a_setting_and_is_shown(years: Years, ada: Person, world: World) -> None:
    asset = await text(ada)
    other = World(world.infra, world.database, world.clock)
    other.tokens = world.tokens
    async with other.serving(idle_days=60):
        assert await Years(other, years.clock, Person(other, ada.id), None).end_of(asset) == 60  # type: ignore[arg-type]  # nothing is announced
    assert await years.end_of(asset) == 180
    with pytest.raises(ValueError, match="idle_days"):
        world.settings(idle_days=59)


@promise
async def test_an_older_version_brings_assets_whose_time_begins_then(ada: Person, world: World) -> None:
    asset = await text(ada)
    columns = await world.sql(
        "SELECT string_agg(column_name, ', ') FROM information_schema.columns "
        "WHERE table_name = 'assets' AND column_name NOT IN ('id', 'idle_since')"
    )
    copy = f"INSERT INTO assets (id, {columns[0][0]}) SELECT $2, {columns[0][0]} FROM assets WHERE id = $1"  # noqa: S608  # our own columns
    older = uuid4()
    await world.sql(copy, own(asset), older)
    (row,) = await world.sql("SELECT idle_since FROM assets WHERE id = $1", older)
    assert abs(row["idle_since"] - datetime.now(UTC)) < timedelta(minutes=1)
    assert (await deleted(ada, f"assets/{older}")).rows == 1
