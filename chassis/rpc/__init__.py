"""gRPC between services: mutual TLS, callers, access, validation, errors."""

from chassis.rpc.calls import Call, Caller
from chassis.rpc.statuses import refusal_from
from chassis.rpc.tokens import AccessTokens, Revocations, mint

__all__ = ["AccessTokens", "Call", "Caller", "Revocations", "mint", "refusal_from"]
