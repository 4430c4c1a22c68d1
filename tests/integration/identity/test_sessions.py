"""Signing in, staying signed in, and ending it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from crafiq.identity.v1 import events_pb2, identity_pb2
from joserfc import jwt
from joserfc.jwk import KeySet

from chassis.rpc.tokens import AccessTokens, Revocations
from chassis.service import Service
from services.identity.adapters.signing import REAUTH_TYPE, SigningKeys
from services.identity.repository import sessions
from tests.integration.identity.people import People, Person, new_address, refusal
from tests.support import Announced, FakeClock


async def test_an_access_token_says_who_and_for_how_long(people: People, clock: FakeClock) -> None:
    person = await people.confirmed()
    answer = await people.stub.CreateSession(people.credentials(person))
    assert answer.expires_at.ToDatetime(clock.now().tzinfo) == clock.now() + timedelta(minutes=5)
    keys = KeySet.import_key_set(await _jwks(people))
    token = jwt.decode(answer.access_token, keys, algorithms=["ES256"])
    assert token.header["typ"] == "at+jwt"
    assert token.claims["sub"] == answer.account
    assert token.claims["sid"].startswith("sessions/")
    assert person.email not in str(token.claims)


async def _jwks(people: People) -> dict[str, object]:
    answer = await people.stub.GetJwks(identity_pb2.GetJwksRequest())
    assert answer.content_type == "application/jwk-set+json"
    found: dict[str, object] = json.loads(answer.data)
    return found


async def test_the_key_set_shows_no_private_part(people: People) -> None:
    keys = (await _jwks(people))["keys"]
    assert keys
    assert all(set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"} for key in keys)


@pytest.mark.promise("7-cookies-essential")
async def test_the_cookies_are_read_by_nobody_else(people: People) -> None:
    person = await people.confirmed()
    call = people.stub.CreateSession(people.credentials(person))
    answer = await call
    cookies = [value for name, value in await call.initial_metadata() if name == "set-cookie"]
    access, *refresh = cookies
    assert access == (
        f"__Host-crafiq_access={answer.access_token}; Path=/; Max-Age=300; HttpOnly; Secure; SameSite=Lax"
    )
    assert [cookie.split("; ")[1] for cookie in refresh] == [
        "Path=/v1/sessions:refresh",
        "Path=/crafiq.identity.v1.IdentityService/RefreshSession",
    ]
    for cookie in refresh:
        assert cookie.startswith(f"__Secure-crafiq_refresh={answer.refresh_token}; ")
        assert cookie.endswith("; Max-Age=2592000; HttpOnly; Secure; SameSite=Strict")


async def test_the_refresh_token_is_in_the_body_only_if_asked_for(people: People) -> None:
    person = await people.confirmed()
    request = identity_pb2.CreateSessionRequest(email=person.email, password=person.password)
    assert not (await people.stub.CreateSession(request)).HasField("refresh_token")


async def test_an_address_signs_in_whatever_its_case(people: People) -> None:
    person = await people.confirmed()
    assert await people.sign_in(Person(f"  {person.email.upper()} "))


async def test_a_wrong_password_and_an_unknown_address_are_the_same_refusal(people: People) -> None:
    person = await people.confirmed()
    wrong = await refusal(people.stub.CreateSession(people.credentials(person, "not the password")))
    unknown = await refusal(people.sign_in(Person(new_address())))
    assert wrong == unknown
    assert (wrong.status, wrong.reason) == ("UNAUTHENTICATED", "INVALID_CREDENTIALS")


async def test_a_refresh_token_is_exchanged_and_lasts(people: People, clock: FakeClock) -> None:
    person = await people.signed_in()
    for _ in range(3):
        clock.forward(timedelta(days=20))
        answer = await people.refresh(person.refresh)
        assert answer.refresh_token.startswith("crt_")
        assert answer.refresh_token != person.refresh
        person.refresh, person.access = answer.refresh_token, answer.access_token
    assert (await people.account_of(person)).email == person.email
    clock.forward(timedelta(days=30))
    assert (await refusal(people.refresh(person.refresh))).reason == "REFRESH_TOKEN_INVALID"


async def test_no_session_lasts_longer_than_ninety_days(people: People, clock: FakeClock) -> None:
    person = await people.signed_in()
    for _ in range(4):
        clock.forward(timedelta(days=22))
        person.refresh = (await people.refresh(person.refresh)).refresh_token
    clock.forward(timedelta(days=2))
    assert (await refusal(people.refresh(person.refresh))).reason == "REFRESH_TOKEN_INVALID"


async def test_two_tabs_that_refresh_at_once_stay_signed_in(people: People, clock: FakeClock) -> None:
    person = await people.signed_in()
    answers = await asyncio.gather(*(people.refresh(person.refresh) for _ in range(5)))
    assert len({answer.refresh_token for answer in answers}) == 1
    clock.forward(timedelta(seconds=10))
    late = await people.refresh(person.refresh)
    assert late.refresh_token == answers[0].refresh_token
    clock.forward(timedelta(minutes=5))
    assert await people.refresh(late.refresh_token)


async def test_a_tab_that_comes_late_gets_the_end_of_the_chain(people: People, clock: FakeClock) -> None:
    person = await people.signed_in()
    second = (await people.refresh(person.refresh)).refresh_token
    third = (await people.refresh(second)).refresh_token
    assert (await people.refresh(person.refresh)).refresh_token == third
    clock.forward(timedelta(minutes=1))
    assert await people.refresh(third)


@pytest.mark.promise("3-authenticate", "3-fraud")
async def test_a_thiefs_replay_ends_the_whole_family(
    people: People, clock: FakeClock, announced: Announced
) -> None:
    person = await people.signed_in()
    elsewhere = await people.sign_in(person)
    latest = await people.refresh(person.refresh)
    clock.forward(timedelta(seconds=11))
    assert (await refusal(people.refresh(person.refresh))).reason == "REFRESH_TOKEN_INVALID"
    assert (await refusal(people.refresh(latest.refresh_token))).reason == "REFRESH_TOKEN_INVALID"
    person.access = latest.access_token
    assert (await refusal(people.account_of(person))).status == "UNAUTHENTICATED"
    assert await people.account_of(elsewhere), "the other session has nothing to do with it"
    assert len(await announced(events_pb2.SessionRevoked, person.account)) == 1
    alert = await people.mailbox.mail(person.email, 2)
    assert alert.subject == "We ended one of your sessions at Crafiq"
    kinds = [row["event"] for row in await people.rows(LOG, account=person.id)]
    assert "REFRESH_TOKEN_REUSED" in kinds


LOG = "SELECT event, address, device FROM security_log WHERE account = :account ORDER BY at"


async def test_replays_at_the_same_moment_end_it_once(
    people: People, clock: FakeClock, announced: Announced
) -> None:
    person = await people.signed_in()
    await people.refresh(person.refresh)
    clock.forward(timedelta(minutes=1))
    await asyncio.gather(*(refusal(people.refresh(person.refresh)) for _ in range(4)))
    assert len(await announced(events_pb2.SessionRevoked, person.account)) == 1


@pytest.mark.parametrize("token", ["", "crt_" + "A" * 43, "x" * 200])
async def test_an_unknown_refresh_token_is_refused(people: People, token: str) -> None:
    refused = await refusal(people.refresh(token))
    assert (refused.status, refused.reason) == ("UNAUTHENTICATED", "REFRESH_TOKEN_INVALID")


async def test_what_came_as_a_cookie_is_not_told_in_the_body(people: People) -> None:
    person = await people.signed_in()
    asked = identity_pb2.RefreshSessionRequest(refresh_token_in_body=True)
    cookie = (("cookie", f"__Secure-crafiq_refresh={person.refresh}"),)
    answer = await people.stub.RefreshSession(asked, metadata=cookie)
    assert answer.access_token
    assert not answer.HasField("refresh_token"), "a script could carry it off"


async def test_the_cookie_refreshes_too(people: People) -> None:
    person = await people.signed_in()
    cookies = f"other=1; __Secure-crafiq_refresh={person.refresh}; broken"
    call = people.stub.RefreshSession(identity_pb2.RefreshSessionRequest(), metadata=(("cookie", cookies),))
    answer = await call
    assert answer.access_token
    assert not answer.HasField("refresh_token")
    renewed = [value for name, value in await call.initial_metadata() if name == "set-cookie"]
    assert len(renewed) == 3


async def test_no_token_stands_in_the_database(people: People) -> None:
    person = await people.signed_in()
    answer = await people.refresh(person.refresh)
    rows = await people.rows("SELECT * FROM refresh_tokens WHERE account = :account", account=person.id)
    assert len(rows) == 2
    held = repr(rows)
    for secret in (person.refresh, answer.refresh_token):
        assert secret not in held
        assert secret.removeprefix("crt_") not in held


@pytest.mark.promise("2b-device")
async def test_sessions_are_listed_newest_first_with_a_coarse_device(
    people: People, clock: FakeClock
) -> None:
    first = await people.signed_in()
    clock.forward(timedelta(hours=1))
    second = await people.sign_in(first)
    first.refresh = (answer := await people.refresh(first.refresh)).refresh_token
    first.access = answer.access_token
    listed = (await _list(people, second)).sessions
    assert [session.current for session in listed] == [True, False]
    assert {session.device for session in listed} == {"a Python program on Linux"}
    assert listed[1].last_used_time.ToSeconds() > listed[1].create_time.ToSeconds()


async def _list(
    people: People, person: Person, size: int = 0, token: str = ""
) -> identity_pb2.ListSessionsResponse:
    request = identity_pb2.ListSessionsRequest(page_size=size, page_token=token)
    return await people.stub.ListSessions(request, metadata=person.metadata)


async def test_the_list_comes_in_pages(people: People) -> None:
    person = await people.signed_in()
    for _ in range(4):
        person = await people.sign_in(person)
    names, token = [], ""
    for _ in range(3):
        page = await _list(people, person, 2, token)
        names += [session.name for session in page.sessions]
        token = page.next_page_token
    assert len(names) == len(set(names)) == 5
    assert token == ""


async def test_a_page_token_of_somebody_else_is_refused(people: People) -> None:
    one, other = await people.signed_in(), await people.signed_in()
    one = await people.sign_in(one)
    token = (await _list(people, one, 1)).next_page_token
    for foreign in (token, "nonsense", token[:-2]):
        refused = await refusal(_list(people, other, 1, foreign))
        assert (refused.status, refused.reason) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")


async def _delete(people: People, person: Person, name: str) -> None:
    await people.stub.DeleteSession(identity_pb2.DeleteSessionRequest(name=name), metadata=person.metadata)


async def test_a_session_that_is_ended_is_dead_at_once(people: People, announced: Announced) -> None:
    here = await people.signed_in()
    there = await people.sign_in(here)
    [name] = [each.name for each in (await _list(people, here)).sessions if not each.current]
    await _delete(people, here, name)
    assert (await refusal(people.account_of(there))).status == "UNAUTHENTICATED"
    assert (await refusal(people.refresh(there.refresh))).reason == "REFRESH_TOKEN_INVALID"
    assert await people.account_of(here)
    [event] = await announced(events_pb2.SessionRevoked, here.account)
    assert event.session == name


async def test_a_session_is_dead_here_even_if_this_process_did_not_hear_of_it(
    people: People, identity: Service
) -> None:
    person = await people.signed_in()
    [session] = (await _list(people, person)).sessions
    async with identity.db.transaction() as tx:
        await sessions.end(tx, person.id, _id(session.name))
    refused = await refusal(people.account_of(person))
    assert (refused.status, refused.reason) == ("UNAUTHENTICATED", "SESSION_ENDED")


def _id(name: str) -> UUID:
    return UUID(name.removeprefix("sessions/"))


async def test_nobody_elses_session_can_be_ended(people: People) -> None:
    one, other = await people.signed_in(), await people.signed_in()
    [session] = (await _list(people, other)).sessions
    for name in (session.name, f"sessions/{uuid4()}", "sessions/nonsense", "sessions/"):
        refused = await refusal(_delete(people, one, name))
        assert (refused.status, refused.reason) == ("NOT_FOUND", "SESSION_NOT_FOUND")
    assert await people.account_of(other)


async def test_signing_out_ends_the_session_and_clears_the_cookies(people: People) -> None:
    person = await people.signed_in()
    call = people.stub.SignOut(identity_pb2.SignOutRequest(), metadata=person.metadata)
    await call
    cookies = [value for name, value in await call.initial_metadata() if name == "set-cookie"]
    assert len(cookies) == 3
    assert all("=; Path=" in cookie and "Max-Age=0" in cookie for cookie in cookies)
    assert (await refusal(people.account_of(person))).status == "UNAUTHENTICATED"
    assert (await refusal(people.refresh(person.refresh))).reason == "REFRESH_TOKEN_INVALID"


async def _reauthenticate(
    people: People, person: Person, password: str
) -> identity_pb2.ReauthenticateResponse:
    request = identity_pb2.ReauthenticateRequest(password=password)
    return await people.stub.Reauthenticate(request, metadata=person.metadata)


async def test_a_fresh_proof_is_for_this_session_and_five_minutes_and_opens_nothing_else(
    people: People, clock: FakeClock, keys: SigningKeys
) -> None:
    person = await people.signed_in()
    answer = await _reauthenticate(people, person, person.password)
    token = jwt.decode(answer.reauth_token, KeySet.import_key_set(await _jwks(people)), algorithms=["ES256"])
    assert token.header["typ"] == REAUTH_TYPE
    assert token.claims["sub"] == person.account
    assert token.claims["exp"] - token.claims["iat"] == 300
    access = AccessTokens(keys.jwks, clock, Revocations(clock))
    assert await access.verify(answer.reauth_token) is None


async def test_a_wrong_password_proves_nothing_and_is_counted(people: People) -> None:
    person = await people.signed_in()
    for _ in range(10):
        refused = await refusal(_reauthenticate(people, person, "wrong"))
        assert refused.reason == "INVALID_CREDENTIALS"
    refused = await refusal(_reauthenticate(people, person, person.password))
    assert refused.reason == "TOO_MANY_ATTEMPTS"


@pytest.mark.parametrize(
    "call", ["GetAccount", "ListSessions", "SignOut", "Reauthenticate", "UpdateAccount", "DeleteSession"]
)
async def test_nobody_is_refused_everything_that_is_somebodys(people: People, call: str) -> None:
    requests = {
        "Reauthenticate": identity_pb2.ReauthenticateRequest(password="x"),
        "UpdateAccount": identity_pb2.UpdateAccountRequest(account=identity_pb2.Account()),
        "DeleteSession": identity_pb2.DeleteSessionRequest(name="sessions/x"),
    }
    request = requests.get(call) or getattr(identity_pb2, f"{call}Request")()
    assert (await refusal(getattr(people.stub, call)(request))).status == "UNAUTHENTICATED"


async def test_what_expired_is_swept_away(people: People, clock: FakeClock, identity: Service) -> None:
    person = await people.signed_in()
    clock.forward(timedelta(days=31))
    await sessions.sweep(identity.db, clock.now())
    assert not await people.rows("SELECT 1 FROM sessions WHERE account = :a", a=person.id)
    assert not await people.rows("SELECT 1 FROM refresh_tokens WHERE account = :a", a=person.id)
