"""Access tokens at the gateway: who must be signed in is turned away here, before any service works.

Services verify the forwarded token again themselves; the gateway's word is not enough for them.
"""

from __future__ import annotations

from typing import Any

from tools.gateway.surface import Rpc

Json = dict[str, Any]
ISSUER = "crafiq-identity"
AUDIENCE = "crafiq"
ACCESS_COOKIE = "__Host-crafiq_access"
JWKS_PATH = "/.well-known/jwks.json"
JWKS_CLUSTER = "jwks"
JWKS_KEPT_SECONDS = 60
CACHED_TOKENS = 10_000
FILTER = "envoy.filters.http.jwt_authn"
_TYPE = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3"


def verification() -> Json:
    """The filter: a token by Bearer or by cookie, either is enough.

    They are two providers, so that a stale cookie does not spoil a good Bearer token.
    """
    bearer = {"from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}]}
    cookie = {"from_cookies": [ACCESS_COOKIE]}
    either = [{"provider_name": "bearer"}, {"provider_name": "cookie"}]
    return {
        "name": FILTER,
        "typed_config": {
            "@type": f"{_TYPE}.JwtAuthentication",
            "providers": {"bearer": _provider(bearer), "cookie": _provider(cookie)},
            "requirement_map": {
                "signed_in": {"requires_any": {"requirements": either}},
                # A bad or expired token is as good as none where nobody needs one.
                "anyone": {"requires_any": {"requirements": [*either, {"allow_missing_or_failed": {}}]}},
            },
        },
    }


def requirement(rpc: Rpc) -> Json:
    """For the route of an RPC."""
    name = "anyone" if rpc.public else "signed_in"
    return {FILTER: {"@type": f"{_TYPE}.PerRouteConfig", "requirement_name": name}}


def _provider(source: Json) -> Json:
    return {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "forward": True,
        "payload_in_metadata": "claims",
        # Signatures verified before; expiry is looked at each time.
        "jwt_cache_config": {"jwt_cache_size": CACHED_TOKENS},
        **source,
        "remote_jwks": {
            "http_uri": {"uri": f"http://gateway{JWKS_PATH}", "cluster": JWKS_CLUSTER, "timeout": "2s"},
            "cache_duration": f"{JWKS_KEPT_SECONDS}s",
            # Fetched before anyone asks; the listener does not wait for it, because the keys come
            # through this very process.
            "async_fetch": {"fast_listener": True, "failed_refetch_duration": "0.5s"},
        },
    }
