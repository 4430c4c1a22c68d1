"""The RPCs of IdentityService: begin, load, decide, announce, answer."""

from services.identity.handler.accounts import Accounts
from services.identity.handler.deleting import Deleting
from services.identity.handler.kit import Kit
from services.identity.handler.refreshing import Refreshing
from services.identity.handler.sessions import Sessions
from services.identity.handler.sign_ups import SignUps, announced


class Handler(SignUps, Sessions, Refreshing, Accounts, Deleting):
    """Every RPC of `crafiq.identity.v1.IdentityService`, in parts by noun."""


__all__ = ["Handler", "Kit", "announced"]
