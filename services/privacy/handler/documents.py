"""The posted documents, and who agreed to them."""

from __future__ import annotations

from crafiq.privacy.v1 import privacy_pb2

from chassis.pages import size
from chassis.rpc import Call
from services.privacy.domain import Acceptance, Posting, pair_of
from services.privacy.handler.shelf import Shelf, moment


class Reading(Shelf):
    """GetPolicy, ListPolicyVersions, ListAcceptances."""

    async def GetPolicy(self, request: privacy_pb2.GetPolicyRequest, _call: Call) -> privacy_pb2.Policy:
        """The pair in force, or another policy with the terms that stood beside it, with texts."""
        posted = await self.documents.all()
        policy, terms = pair_of(posted, self.clock.now(), request.policy_version)
        return privacy_pb2.Policy(
            policy_version=policy.version,
            terms_version=terms.version,
            text=await self.documents.text(policy),
            terms_text=await self.documents.text(terms),
            text_sha256=policy.sha256,
            terms_sha256=terms.sha256,
            effective_time=moment(policy.effective_at),
        )

    async def ListPolicyVersions(
        self, request: privacy_pb2.ListPolicyVersionsRequest, _call: Call
    ) -> privacy_pb2.ListPolicyVersionsResponse:
        """Every version of every document, newest first."""
        rows = size(request.page_size)
        before = self.pages.decode("versions", None, request.page_token)
        found = await self.documents.page(before, rows + 1)
        response = privacy_pb2.ListPolicyVersionsResponse(versions=[_version(p) for p in found[:rows]])
        if len(found) > rows:
            response.next_page_token = self.pages.encode("versions", None, found[rows - 1].order)
        return response

    async def ListAcceptances(
        self, request: privacy_pb2.ListAcceptancesRequest, call: Call
    ) -> privacy_pb2.ListAcceptancesResponse:
        """What the caller agreed to, newest first."""
        rows = size(request.page_size)
        before = self.pages.decode("acceptances", call.account, request.page_token)
        found = await self.acceptances.of(call.account, before, rows + 1)
        response = privacy_pb2.ListAcceptancesResponse(acceptances=[_acceptance(a) for a in found[:rows]])
        if len(found) > rows:
            last = found[rows - 1]
            response.next_page_token = self.pages.encode(
                "acceptances", call.account, (last.accepted_at, last.id)
            )
        return response


def _version(posting: Posting) -> privacy_pb2.PolicyVersion:
    return privacy_pb2.PolicyVersion(
        kind=privacy_pb2.DocumentKind.Value(posting.kind),
        version=posting.version,
        sha256=posting.sha256,
        effective_time=moment(posting.effective_at),
        material=posting.material,
    )


def _acceptance(acceptance: Acceptance) -> privacy_pb2.Acceptance:
    return privacy_pb2.Acceptance(
        policy_version=acceptance.policy_version,
        terms_version=acceptance.terms_version,
        text_sha256=acceptance.policy_sha256,
        terms_sha256=acceptance.terms_sha256,
        accept_time=moment(acceptance.accepted_at),
        manner=acceptance.manner,
    )
