"""Who may call what: derived from the `access` of each RPC. What is not declared is denied."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

from crafiq.options.v1 import options_pb2
from google.protobuf.descriptor import MethodDescriptor

from chassis.errors import PermissionDenied, Refusal, Unauthenticated
from chassis.rpc.calls import GATEWAY, Caller, SignInRequired
from chassis.rpc.tokens import ACCESS_COOKIE, AccessTokens

SPIFFE = b"spiffe://crafiq/svc/"
BEARER = "Bearer "

Gate = Callable[[str, Mapping[str, str]], Awaitable[Caller]]
"""Answers the caller, given the peer's service and the metadata; raises what it refuses."""


class CredentialInvalid(Unauthenticated):
    """A token came, and it is malformed, expired or revoked."""

    sentence = "This credential is not valid, or not any more: refresh the session or sign in again."


class CertificateUnknown(Unauthenticated):
    """The peer's certificate names no service."""

    sentence = "This certificate names no service of ours."


class CallerNotAllowed(PermissionDenied):
    """A service called what it is not listed for."""

    sentence = "{method} is not offered to {caller}."


class RoleRequired(PermissionDenied):
    """An operator's RPC was called without the role."""

    sentence = "This needs the role {role}; ask an administrator for it."


def peer_service(identities: Iterable[bytes] | None) -> str:
    """The service that holds the peer's certificate, from its URI SAN; raises CertificateUnknown.

    `identities` are the subject alternative names (`context.peer_identities()`), which a tenth of the
    time of `auth_context()` gives.
    """
    for name in identities or ():
        if name.startswith(SPIFFE):
            return name[len(SPIFFE) :].decode()
    raise CertificateUnknown


def credential(metadata: Mapping[str, str]) -> str:
    """The access token that came: Bearer, or else the cookie; empty if none."""
    header = metadata.get("authorization", "")
    if header.startswith(BEARER) or header[:7].lower() == BEARER.lower():
        return header[7:].strip()
    for cookie in metadata.get("cookie", "").split(";"):
        name, _, value = cookie.strip().partition("=")
        if name == ACCESS_COOKIE:
            return value
    return ""


def gate(method: MethodDescriptor, tokens: AccessTokens) -> Gate:
    """The check of one RPC. Raises TypeError if its `access` is missing, or can't be kept."""
    access = method.GetOptions().Extensions[options_pb2.access]
    if access.audience == options_pb2.AUDIENCE_UNSPECIFIED:
        raise TypeError(f"{method.full_name} does not say who may call it: give it an `access`.")
    # The proof stands in the request, and the handler checks it.
    if access.reauthentication and "reauth_token" not in method.input_type.fields_by_name:
        raise TypeError(f"{method.full_name} needs a fresh proof: give its request a `reauth_token`.")
    if access.audience == options_pb2.AUDIENCE_PUBLIC:
        return _public(tokens)
    if access.audience == options_pb2.AUDIENCE_SERVICE:
        return _services(method.full_name, frozenset(access.services))
    if access.audience == options_pb2.AUDIENCE_OPERATOR and not access.role:
        raise TypeError(f"{method.full_name} is for operators and names no role.")
    return _person(method.full_name, tokens, access.role)


def _public(tokens: AccessTokens) -> Gate:
    async def admit(service: str, metadata: Mapping[str, str]) -> Caller:
        token = credential(metadata) if service == GATEWAY else ""
        try:
            caller = (tokens.known(token) or await tokens.verify(token)) if token else None
        except Refusal:  # the keys can't be had: this RPC does not need to know
            caller = None
        return caller or Caller(service)

    return admit


def _services(method: str, allowed: frozenset[str]) -> Gate:
    async def admit(service: str, _metadata: Mapping[str, str]) -> Caller:
        if service not in allowed:
            raise CallerNotAllowed(method=method, caller=service)
        return Caller(service)

    return admit


def _person(method: str, tokens: AccessTokens, role: str) -> Gate:
    async def admit(service: str, metadata: Mapping[str, str]) -> Caller:
        if service != GATEWAY:
            raise CallerNotAllowed(method=method, caller=service)
        token = credential(metadata)
        if not token:
            raise SignInRequired
        caller = tokens.known(token) or await tokens.verify(token)
        if caller is None:
            raise CredentialInvalid
        if role and role not in caller.roles:
            raise RoleRequired(role=role)
        return caller

    return admit
