"""The caller's account, and public names."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import grpc.aio
import pytest
from crafiq.identity.v1 import identity_pb2, identity_pb2_grpc
from google.protobuf.field_mask_pb2 import FieldMask

from chassis.service import Service
from deploy.local.infra import Infra
from tests.integration.identity.people import People, Person, refusal
from tests.support import calling


async def _update(people: People, person: Person, *paths: str, **values: str) -> identity_pb2.Account:
    request = identity_pb2.UpdateAccountRequest(
        account=identity_pb2.Account(**values), update_mask=FieldMask(paths=paths)
    )
    return await people.stub.UpdateAccount(request, metadata=person.metadata)


@pytest.mark.promise("11-rectify")
async def test_a_person_changes_names_and_the_etag_follows(people: People) -> None:
    person, name = await people.signed_in(), "lin-" + uuid4().hex[:6]
    before = await people.account_of(person)
    after = await _update(people, person, username=name, display_name="Lin", etag=before.etag)
    assert (after.username, after.display_name) == (name, "Lin")
    assert after.etag != before.etag
    assert after == await people.account_of(person)


async def test_only_what_the_mask_names_is_changed(people: People) -> None:
    person = await people.signed_in(display_name="Before")
    after = await _update(people, person, "username", username="m-" + uuid4().hex[:6], display_name="After")
    assert after.display_name == "Before"
    assert (await _update(people, person, "username")).username == "", (
        "an empty name in the mask takes it away"
    )


async def test_without_a_mask_what_is_set_is_changed(people: People) -> None:
    person = await people.signed_in(display_name="Kept")
    assert (await _update(people, person, username="n-" + uuid4().hex[:6])).display_name == "Kept"


@pytest.mark.parametrize("path", ["email", "state", "name", "create_time", "nonsense"])
async def test_nothing_else_can_be_changed(people: People, path: str) -> None:
    person = await people.signed_in()
    refused = await refusal(_update(people, person, path, email="other@people.example"))
    assert (refused.status, refused.reason) == ("INVALID_ARGUMENT", "UPDATE_MASK_INVALID")


async def test_a_change_on_top_of_an_older_state_is_refused(people: People) -> None:
    person = await people.signed_in()
    etag = (await people.account_of(person)).etag
    await _update(people, person, display_name="First", etag=etag)
    refused = await refusal(_update(people, person, display_name="Second", etag=etag))
    assert (refused.status, refused.reason) == ("ABORTED", "ETAG_MISMATCH")


@pytest.mark.parametrize("name", ["\u202egnp.exe", "line\nbreak", "nul\x00"])
async def test_names_that_deceive_are_refused(people: People, name: str) -> None:
    refused = await refusal(_update(people, await people.signed_in(), display_name=name))
    assert refused.reason == "NAME_NOT_ALLOWED"


async def test_two_who_want_one_user_name_do_not_both_get_it(people: People) -> None:
    both, name = [await people.signed_in(), await people.signed_in()], "o-" + uuid4().hex[:6]
    answers = await asyncio.gather(
        *(_update(people, person, username=name) for person in both), return_exceptions=True
    )
    assert sum(isinstance(answer, identity_pb2.Account) for answer in answers) == 1
    assert sum(isinstance(answer, grpc.aio.AioRpcError) for answer in answers) == 1


async def test_another_spelling_of_ones_own_user_name_is_allowed(people: People) -> None:
    name = "p-" + uuid4().hex[:6]
    person = await people.signed_in(username=name)
    assert (await _update(people, person, username=name.upper())).username == name.upper()


@pytest.mark.promise("5-public-username")
async def test_assets_learns_the_public_names_of_those_who_have_one(
    people: People, identity: Service, infra: Infra
) -> None:
    named, unnamed = await people.signed_in(username="q-" + uuid4().hex[:6]), await people.signed_in()
    wanted = [named.account, unnamed.account, f"accounts/{uuid4()}", "accounts/nonsense"]
    async with calling(identity.address, infra.tls_dir("assets"), to="identity") as channel:
        answer = await identity_pb2_grpc.IdentityServiceStub(channel).BatchGetPublicProfiles(
            identity_pb2.BatchGetPublicProfilesRequest(accounts=wanted)
        )
    assert [(profile.account, bool(profile.username)) for profile in answer.profiles] == [
        (named.account, True)
    ]


@pytest.mark.parametrize("caller", ["gateway", "billing"])
async def test_nobody_else_may_ask_for_names(identity: Service, infra: Infra, caller: str) -> None:
    async with calling(identity.address, infra.tls_dir(caller), to="identity") as channel:
        stub = identity_pb2_grpc.IdentityServiceStub(channel)
        refused = await refusal(stub.BatchGetPublicProfiles(identity_pb2.BatchGetPublicProfilesRequest()))
    assert refused.status == "PERMISSION_DENIED"
