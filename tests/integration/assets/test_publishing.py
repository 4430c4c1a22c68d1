"""What is published is public for good; whose it was is its owner's to take back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from crafiq.assets.v1 import assets_pb2

from chassis.errors import Refusal
from services.assets.adapters import licence
from tests.integration.assets.test_deleting import deleted
from tests.integration.assets.test_leftovers import sweeper
from tests.integration.assets.world import PUBLIC, ROOT, Person, World, digest, header_for
from tests.unit.assets import makers


async def published(
    person: Person, asset: str, attribution: Any = assets_pb2.NAMED, **more: Any
) -> assets_pb2.Publication:
    given = {"confirm": True, "request_id": str(uuid4()), **more}
    request = assets_pb2.PublishAssetRequest(name=asset, attribution=attribution, **given)
    publication: assets_pb2.Publication = await person.call("PublishAsset", request)
    return publication


async def shown(world: World, name: str, person: Person | None = None) -> assets_pb2.Publication:
    """As somebody sees it, or nobody in particular."""
    request = assets_pb2.GetPublicationRequest(name=name)
    if person is not None:
        own: assets_pb2.Publication = await person.call("GetPublication", request)
        return own
    anyones: assets_pb2.Publication = await world.call("GetPublication", request)
    return anyones


async def anonymised(person: Person, name: str) -> assets_pb2.Publication:
    request = assets_pb2.AnonymisePublicationRequest(name=name)
    publication: assets_pb2.Publication = await person.call("AnonymisePublication", request)
    return publication


async def refusal(call: Any) -> str:
    """Why a call is refused."""
    with pytest.raises(Refusal) as refused:
        await call
    return refused.value.reason


def own(name: str) -> UUID:
    """The id in a name."""
    return UUID(name.partition("/")[2])


def public_keys(world: World) -> set[str]:
    """What lies where everyone may read."""
    return {str(each.object_name) for each in world.s3.list_objects(PUBLIC, recursive=True)}


async def public_bytes(world: World, publication: assets_pb2.Publication) -> bytes:
    """The bytes as storage gives them to whoever asks."""
    status, headers, body = await world.fetch(
        f"{world.infra.s3.url}/{PUBLIC}/{own(publication.name)}/original"
    )
    assert (status, headers["content-type"]) == (200, publication.renditions[0].content_type)
    return body


@pytest.mark.promise("5-public-set", "5-public-permanent")
async def test_publishing_makes_a_public_copy_under_a_frozen_licence(ada: Person, world: World) -> None:
    asset = await ada.upload(makers.jpeg(), "image/jpeg")
    world.identity.names[ada.account] = "ada"
    publication = await published(ada, asset.name)
    assert publication.publish_date == f"{datetime.now(UTC):%Y-%m-%d}"
    assert (publication.username, publication.likes, publication.sha256) == ("ada", 0, asset.sha256)
    assert (publication.mine, publication.asset) == (True, asset.name)
    assert publication.licence_version == licence.VERSION
    assert publication.licence_sha256 == digest(licence.TEXT.read_bytes())
    (original,) = publication.renditions
    assert original.url == f"http://localhost:8080/public/{own(publication.name)}/original"
    assert (original.size_bytes, original.width) == (asset.size_bytes, asset.width)
    assert digest(await public_bytes(world, publication)) == asset.sha256
    anyones = await shown(world, publication.name)
    assert (anyones.username, anyones.mine, anyones.asset) == ("ada", False, "")


async def test_the_licence_is_word_for_word_that_of_the_terms() -> None:
    terms = ROOT / "services" / "privacy" / "documents" / f"terms-{licence.VERSION}.txt"
    assert licence.TEXT.read_text(encoding="utf-8").strip() in terms.read_text(encoding="utf-8")


@pytest.mark.promise("5-public-set")
async def test_nothing_is_published_without_being_meant(ada: Person, bob: Person, world: World) -> None:
    asset = await ada.upload(makers.text(), "text/plain")
    before = public_keys(world)
    with pytest.raises(Refusal, match=r"for good.*`confirm: true`") as refused:
        await published(ada, asset.name, confirm=False)
    assert (refused.value.status, refused.value.reason) == ("FAILED_PRECONDITION", "CONFIRMATION_NEEDED")
    assert await refusal(published(ada, asset.name, assets_pb2.ATTRIBUTION_UNSPECIFIED)) == "INVALID_REQUEST"
    assert await refusal(published(ada, asset.name, 7)) == "INVALID_REQUEST"
    assert await refusal(published(ada, asset.name, request_id="")) == "INVALID_REQUEST"
    assert await refusal(published(bob, asset.name)) == "ASSET_NOT_FOUND"
    assert await refusal(published(ada, f"assets/{uuid4()}")) == "ASSET_NOT_FOUND"
    assert public_keys(world) == before
    assert not await world.sql("SELECT 1 FROM publications WHERE asset = $1", own(asset.name))


async def test_an_asset_is_published_once_however_often_it_is_asked_for(ada: Person, world: World) -> None:
    asset, request_id = await ada.upload(makers.text(), "text/plain"), str(uuid4())
    before = public_keys(world)
    asking = (published(ada, asset.name, request_id=request_id) for _ in range(4))
    answers = await asyncio.gather(*asking)
    assert len({answer.name for answer in answers}) == 1
    assert await published(ada, asset.name, request_id=request_id) == answers[0]
    assert await refusal(published(ada, asset.name)) == "ALREADY_PUBLIC"
    changed = published(ada, asset.name, assets_pb2.ANONYMOUS, request_id=request_id)
    assert await refusal(changed) == "REQUEST_ID_REUSED"
    await sweeper(world).sweep_public()
    assert public_keys(world) - before == {f"{own(answers[0].name)}/original"}


@pytest.mark.promise("5-public-choice", "5-public-username")
async def test_the_owner_chooses_whether_a_name_is_shown_and_may_let_go_at_any_time(
    ada: Person, bob: Person, world: World
) -> None:
    world.identity.names[ada.account] = "ada"
    named = await published(ada, (await ada.upload(makers.text(), "text/plain")).name)
    unnamed = await published(ada, (await ada.upload(makers.text(), "text/plain")).name, assets_pb2.ANONYMOUS)
    assert (named.username, unnamed.username, unnamed.mine) == ("ada", "", True)
    assert await refusal(anonymised(bob, named.name)) == "PUBLICATION_NOT_FOUND"
    after = await anonymised(ada, named.name)
    assert (after.username, after.mine, after.asset) == ("", False, "")
    assert after.renditions == named.renditions
    (row,) = await world.sql("SELECT * FROM publications WHERE id = $1", own(named.name))
    assert (row["account"], row["asset"], row["attribution"]) == (None, None, None)
    assert await refusal(anonymised(ada, named.name)) == "PUBLICATION_NOT_FOUND"


@pytest.mark.promise("5-public-username")
async def test_works_are_shown_without_names_while_identity_knows_none(ada: Person, world: World) -> None:
    publication = await published(ada, (await ada.upload(makers.text(), "text/plain")).name)
    assert publication.username == ""
    asked = world.identity.asked
    for _ in range(3):
        await shown(world, publication.name)
    assert world.identity.asked == asked  # remembered for half a minute


@pytest.mark.promise("9-public-remains", "9-delete-item", "5-public-permanent")
async def test_a_publication_outlives_its_asset_as_nobodys(ada: Person, world: World) -> None:
    asset = await ada.upload(makers.png(), "image/png")
    publication = await published(ada, asset.name)
    receipt = await deleted(ada, asset.name)
    assert receipt.publication == publication.name
    after = await shown(world, publication.name, ada)
    assert (after.mine, after.asset, after.username) == (False, "", "")
    assert digest(await public_bytes(world, publication)) == publication.sha256


@pytest.mark.promise("9-public-remains", "9-public-anon")
async def test_a_publication_outlives_its_person_as_nobodys(ada: Person, bob: Person, world: World) -> None:
    publication = await published(ada, (await ada.upload(makers.png(), "image/png")).name)
    await ada.call("LikePublication", assets_pb2.LikePublicationRequest(name=publication.name))
    await bob.call("LikePublication", assets_pb2.LikePublicationRequest(name=publication.name))
    with pytest.raises(asyncpg.PostgresError):
        await world.sql("UPDATE publications SET account = NULL WHERE id = $1", own(publication.name))
    await world.sql("UPDATE publications SET asset = NULL, attribution = NULL WHERE account = $1", ada.id)
    await world.sql("DELETE FROM subjects WHERE account = $1", ada.id)
    (row,) = await world.sql("SELECT * FROM publications WHERE id = $1", own(publication.name))
    assert (row["account"], row["asset"], row["attribution"]) == (None, None, None)
    assert not await world.sql("SELECT 1 FROM likes WHERE account = $1", ada.id)
    after = await shown(world, publication.name)
    assert (after.username, after.likes) == ("", 2)
    assert digest(await public_bytes(world, publication)) == publication.sha256


@pytest.mark.promise("2b-interaction", "2b-interaction-nocontent")
async def test_a_like_counts_once_and_is_taken_back_once(ada: Person, bob: Person, world: World) -> None:
    publication = await published(ada, (await ada.upload(makers.text(), "text/plain")).name)
    like = assets_pb2.LikePublicationRequest(name=publication.name)
    unlike = assets_pb2.UnlikePublicationRequest(name=publication.name)
    await asyncio.gather(*(bob.call("LikePublication", like) for _ in range(4)))
    assert (await ada.call("LikePublication", like)).likes == 2
    for _ in range(2):
        assert (await bob.call("UnlikePublication", unlike)).likes == 1
    columns = await world.sql(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'likes' ORDER BY 1"
    )
    assert [row["column_name"] for row in columns] == ["account", "publication"]
    nothing = assets_pb2.LikePublicationRequest(name=f"publications/{uuid4()}")
    assert await refusal(bob.call("LikePublication", nothing)) == "PUBLICATION_NOT_FOUND"
    with pytest.raises(Refusal) as refused:
        await world.call("LikePublication", like)
    assert refused.value.status == "UNAUTHENTICATED"


async def test_what_is_public_is_listed_for_everyone_in_an_order_that_says_nothing(
    ada: Person, bob: Person, world: World
) -> None:
    made = [
        (await published(ada, (await ada.upload(makers.text(), "text/plain")).name)).name for _ in range(4)
    ]
    listed, token = [], ""
    while True:
        request = assets_pb2.ListPublicationsRequest(page_size=3, page_token=token)
        page = await world.call("ListPublications", request)
        listed += [each.name for each in page.publications]
        token = page.next_page_token
        if not token:
            break
    assert listed == sorted(set(listed))
    assert set(made) <= set(listed)
    mine = await ada.call("ListPublications", assets_pb2.ListPublicationsRequest(mine=True, page_size=3))
    assert {each.name for each in mine.publications} == set(sorted(made)[:3])
    his = await bob.call("ListPublications", assets_pb2.ListPublicationsRequest(mine=True))
    assert not his.publications
    foreign = assets_pb2.ListPublicationsRequest(page_token=mine.next_page_token)
    assert await refusal(world.call("ListPublications", foreign)) == "PAGE_TOKEN_INVALID"
    with pytest.raises(Refusal) as refused:
        await world.call("ListPublications", assets_pb2.ListPublicationsRequest(mine=True))
    assert refused.value.status == "UNAUTHENTICATED"


@pytest.mark.promise("5-public-set")
async def test_training_eligibility_is_settled_by_what_a_work_was_made_from(
    ada: Person, world: World
) -> None:
    upload = await ada.upload(makers.png(), "image/png")
    of_words = await world.store(header_for(ada, makers.png()), makers.png())
    of_upload = await world.store(header_for(ada, makers.png(), inputs=[upload.name]), makers.png())
    eligible = [(await published(ada, a.name)).training_eligible for a in (upload, of_words, of_upload)]
    assert eligible == [False, True, False]


async def test_public_bytes_without_a_publication_are_removed(ada: Person, world: World) -> None:
    asset = await ada.upload(makers.text(), "text/plain")
    kept = await published(ada, (await ada.upload(makers.text(), "text/plain")).name)
    left = uuid4()
    await world.desk.publications.note(left, "", datetime.now(UTC))
    await world.desk.storage.publish(await world.key_of(asset.name), left)
    await sweeper(world, timedelta(minutes=2)).sweep_public()
    assert f"{left}/original" in public_keys(world)
    await sweeper(world, timedelta(minutes=4)).sweep_public()
    assert f"{left}/original" not in public_keys(world)
    assert digest(await public_bytes(world, kept)) == kept.sha256
