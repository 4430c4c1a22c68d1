"""An event's subject says whose it is and what happened, and nothing more."""

from __future__ import annotations

from uuid import uuid4

import pytest
from crafiq.assets.v1 import assets_pb2
from crafiq.billing.v1 import billing_pb2
from crafiq.identity.v1 import events_pb2

from chassis.events import account_of, stream_of, subject_of


def test_the_subject_is_service_version_event_and_account() -> None:
    account = uuid4()
    event = events_pb2.AccountVerified(account=f"accounts/{account}", policy_version="1", terms_version="1")
    assert subject_of(event) == f"crafiq.identity.v1.AccountVerified.{account}"
    assert account_of(event) == account
    assert stream_of("identity") == "IDENTITY"


@pytest.mark.parametrize(
    "account", ["", "accounts/", "accounts/x", "sessions/1", "accounts/*", "accounts/a.b"]
)
def test_what_names_no_account_is_no_event(account: str) -> None:
    with pytest.raises(ValueError, match=r"names no account|badly formed"):
        subject_of(events_pb2.SessionRevoked(account=account))


def test_other_messages_are_no_events() -> None:
    for message in (assets_pb2.GetAssetRequest(), billing_pb2.GetBalanceRequest()):
        with pytest.raises(ValueError, match="names no account"):
            subject_of(message)
