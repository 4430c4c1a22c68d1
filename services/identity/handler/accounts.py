"""The caller's account, and public names."""

from __future__ import annotations

from uuid import UUID

from crafiq.identity.v1 import identity_pb2
from google.api.httpbody_pb2 import HttpBody

from chassis.rpc import Call
from services.identity.domain.accounts import Account, Profile
from services.identity.domain.refusals import SessionEnded, UsernameTaken
from services.identity.handler.kit import Kit, signed_in, username_is_free
from services.identity.repository import accounts


class Accounts:
    """GetAccount, UpdateAccount, BatchGetPublicProfiles, GetJwks."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit

    async def GetAccount(self, _request: identity_pb2.GetAccountRequest, call: Call) -> identity_pb2.Account:
        """The caller's account."""
        return _message(await signed_in(self.kit, self.kit.db, call))

    async def UpdateAccount(
        self, request: identity_pb2.UpdateAccountRequest, call: Call
    ) -> identity_pb2.Account:
        """Change the names that the mask has, on top of the state that the etag names."""
        wanted = Profile(request.account.username, request.account.display_name)
        async with self.kit.db.transaction() as tx:
            await signed_in(self.kit, tx, call)
            account = await accounts.locked(tx, call.account)
            if account is None:
                raise SessionEnded
            account.change(wanted, request.update_mask.paths, request.account.etag)
            if not await username_is_free(self.kit, tx, account.username, account.account):
                raise UsernameTaken
            await accounts.save(tx, account)
        return _message(account)

    async def BatchGetPublicProfiles(
        self, request: identity_pb2.BatchGetPublicProfilesRequest, _call: Call
    ) -> identity_pb2.BatchGetPublicProfilesResponse:
        """The user names of those who have one; others are left out, whether they exist or not."""
        wanted = [id_ for name in request.accounts if (id_ := _account_id(name))]
        found = await accounts.public_names(self.kit.db, wanted)
        return identity_pb2.BatchGetPublicProfilesResponse(
            profiles=[
                identity_pb2.PublicProfile(account=f"accounts/{each.account}", username=each.username)
                for each in found
            ]
        )

    async def GetJwks(self, _request: identity_pb2.GetJwksRequest, call: Call) -> HttpBody:
        """The public keys; caches may keep them for a minute."""
        call.set_header("cache-control", "public, max-age=60")
        return HttpBody(content_type="application/jwk-set+json", data=await self.kit.keys.jwks())


def _account_id(name: str) -> UUID | None:
    try:
        return UUID(name.removeprefix("accounts/"))
    except ValueError:
        return None


def _message(account: Account) -> identity_pb2.Account:
    message = identity_pb2.Account(
        name=account.name,
        email=account.email,
        username=account.username or "",
        display_name=account.display_name or "",
        state=identity_pb2.AccountState.Value(account.state.value),
        etag=account.etag,
    )
    message.create_time.FromDatetime(account.create_time)
    return message
