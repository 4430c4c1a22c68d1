"""Somebody deletes their account through the public API, whatever is killed meanwhile."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from dataclasses import dataclass, field
from time import monotonic

from cli.api import Api, ApiRefused, Json
from cli.receipts import verified
from deploy.local.infra import SERVICES
from tests.chaos.patience import PATIENCE, Impatient, Patient, away
from tests.chaos.people import Someone
from tests.personal import used

BEGUN = {"ERASING", "RECEIPT_SIGNED", "CLOSED"}
SIGNED = {"RECEIPT_SIGNED", "CLOSED"}
HOLDERS = set(SERVICES)
RECEIPT_SECONDS = 180.0


@dataclass
class Leaver:
    """Someone on their way out, with all that they know: the erasure's id and its secret."""

    someone: Someone
    http_api: Patient
    request: str = field(default_factory=lambda: str(uuid.uuid4()))
    secret: str = field(default_factory=lambda: used(secrets.token_urlsafe(24)))
    asked: int = 0
    gone: bool = False

    @property
    def erasure(self) -> str:
        """The name of the case."""
        return f"erasures/{self.request}"

    async def leave(self) -> None:
        """Preview, prove, delete; asks again until there is an erasure, under the same id."""
        until = monotonic() + PATIENCE
        while not await self._begun():
            if monotonic() > until:
                raise Impatient(f"{self.erasure} did not begin within {PATIENCE:.0f} s")
            if not self.gone:
                await self._ask()
            await asyncio.sleep(0.1)

    async def _ask(self) -> None:
        api, person = self.someone.api, self.someone.person
        self.asked += 1
        try:
            plan = await Api.call(api, "POST", "/v1/accounts/me:previewDeletion", {})
            proof = await Api.call(api, "POST", "/v1/sessions:reauthenticate", {"password": person.password})
            wish: Json = {
                "reauthToken": used(proof["reauthToken"]),
                "planHash": plan["planHash"],
                "requestId": self.request,
                "receiptSecret": self.secret,
            }
            await Api.call(api, "POST", "/v1/accounts/me:delete", wish)
            self.gone = True
        except ApiRefused as refused:
            await self._refused(refused)
        except Exception as error:
            if not away(error):
                raise

    async def _refused(self, refused: ApiRefused) -> None:
        """What came instead of an answer: somebody away, another plan, or an end that was reached unheard."""
        if refused.reason in {"REQUEST_ID_REUSED", "DELETION_PLAN_CHANGED"}:
            # Approved under a plan that is another by now: that wish is taken back, this is a new one.
            self.request = str(uuid.uuid4())
        elif refused.reason == "ACCOUNT_ERASED":
            self.gone = True
        elif refused.status == 401:
            if not await self._begun():
                await self._signed_in_again()
        elif not away(refused):
            raise refused

    async def _signed_in_again(self) -> None:
        try:
            await self.someone.sign_in()
        except ApiRefused as refused:
            if refused.status != 401:
                raise

    async def _begun(self) -> bool:
        return await self.state() in BEGUN

    async def state(self) -> str:
        """Where the case is; empty if there is none."""
        self.http_api.send("X-Receipt-Secret", self.secret)
        try:
            return str((await self.http_api.get(f"/v1/{self.erasure}"))["state"])
        except ApiRefused as refused:
            if refused.status != 404:
                raise
            return ""

    async def signed(self) -> Json:
        """The verified receipt, once it is signed; in time."""
        began = monotonic()
        while (state := await self.state()) not in SIGNED:
            assert state in BEGUN, f"{self.erasure} went from begun to {state!r}"
            if monotonic() - began > RECEIPT_SECONDS:
                shown = await self.http_api.get(f"/v1/{self.erasure}")
                raise Impatient(f"no receipt within {RECEIPT_SECONDS:.0f} s: {shown}")
            await asyncio.sleep(0.1)
        return await self.receipt()

    async def receipt(self) -> Json:
        """What the receipt says; it is ours, complete, and says that nothing is left."""
        self.http_api.send("X-Receipt-Secret", self.secret)
        keys = await self.http_api.text("/v1/receipts/keys")
        said = verified(await self.http_api.text(f"/v1/{self.erasure}/receipt"), keys)[1]
        lines = [line for holder in said["holders"] for line in holder["data"]]
        assert said["erasure"] == self.erasure
        assert {each["holder"] for each in said["holders"]} == HOLDERS
        assert all(line["leftNow"] == 0 for line in lines), said
        return said
