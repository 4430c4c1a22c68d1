"""What the public HTTP contract (API.md) says is built now, against the routes that the gateway has."""

from __future__ import annotations

import json
import re
from pathlib import Path

NAME = re.compile(r"\{[\w.]+=(\w+)/\*\}")
ROUTES = Path(__file__).resolve().parents[2] / "deploy" / "gateway" / "routes.json"
CONTRACT = """
POST /v1/accounts
POST /v1/accounts:verifyEmail
POST /v1/accounts:resendVerification
POST /v1/sessions
POST /v1/sessions:refresh
GET /v1/sessions
DELETE /v1/sessions/{id}
POST /v1/sessions:signOut
POST /v1/sessions:reauthenticate
GET /v1/accounts/me
PATCH /v1/accounts/me
POST /v1/accounts/me:previewDeletion
POST /v1/accounts/me:delete
GET /v1/erasures/{id}
GET /v1/erasures/{id}:watch
GET /v1/erasures/{id}/receipt
GET /v1/erasures/{id}/supplement
GET /v1/receipts/keys
POST /v1/uploads
POST /v1/uploads/{id}:complete
GET /v1/assets
GET /v1/assets/{id}
PATCH /v1/assets/{id}
DELETE /v1/assets/{id}
GET /v1/assets/{id}:download
POST /v1/assets/{id}:publish
GET /v1/publications
GET /v1/publications/{id}
POST /v1/publications/{id}:like
POST /v1/publications/{id}:unlike
POST /v1/publications/{id}:anonymise
GET /v1/packs
POST /v1/packs
GET /v1/packs/{id}
PATCH /v1/packs/{id}
DELETE /v1/packs/{id}
POST /v1/packs/{id}:addAssets
POST /v1/packs/{id}:removeAssets
POST /v1/packs/{id}:publish
POST /v1/packs/{id}:unpublish
GET /v1/public/packs
GET /v1/models
GET /v1/vendors
POST /v1/generations
GET /v1/generations
GET /v1/generations/{id}
DELETE /v1/generations/{id}
POST /v1/generations/{id}:cancel
GET /v1/generations/{id}:watch
GET /v1/generations/{id}/egress
POST /v1/webhooks/{id}
GET /v1/billing/balance
GET /v1/billing/entries
GET /v1/policy
GET /v1/policy/versions
GET /v1/consents
PUT /v1/consents
GET /healthz
GET /openapi.json
"""
OF_THE_GATEWAY = {
    "GET /healthz": "The gateway answers it: tests/integration/gateway/test_answers.py.",
    "GET /openapi.json": "The gateway answers it: tests/integration/gateway/test_document.py.",
}
MORE = {
    "GET /.well-known/jwks.json": "The keys of access tokens, where the field looks for them (RFC 8414).",
    "GET /v1/acceptances": "What somebody agreed to is theirs to see.",
    "GET /v1/policy/holdings": "What is held, next to the policy that promises it.",
}
"""Routes that the contract does not name, and why they are there."""


def _routes() -> set[str]:
    """Each method and path; `{id}` for the last segment of any name."""
    rows = [row for row in json.loads(ROUTES.read_text()) if row["method"]]
    return {f"{row['method']} {NAME.sub(_spelled, row['template'])}" for row in rows}


def _spelled(found: re.Match[str]) -> str:
    return f"{found[1]}/{{id}}"


def test_every_call_of_the_contract_has_a_route_and_every_route_is_in_the_contract() -> None:
    contract = CONTRACT.split("\n")[1:-1]
    assert len(set(contract)) == len(contract)
    assert set(contract) - _routes() == OF_THE_GATEWAY.keys()
    assert _routes() - set(contract) == MORE.keys()
