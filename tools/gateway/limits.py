"""Rate limits: one bucket per RPC and caller, shared by its REST and gRPC-Web routes.

A route says in its metadata which RPC it is, and Envoy knows who calls; the filters hold a bucket for
each pair. There are two: by address before anyone is known, and by person behind the token's
verification.
"""

from __future__ import annotations

import math
from typing import Any

from tools.gateway.surface import Rpc

Json = dict[str, Any]
NAMESPACE = "crafiq"
# Several people may share an address; what one may do, so many at one address may do together.
PEOPLE_AT_ONE_ADDRESS = 10
# What is no RPC: unknown paths, /healthz.
ELSEWHERE = "elsewhere"
ELSEWHERE_PER_MINUTE = 600
# Buckets remembered per RPC, least recently used out first: a caller who could push his own
# bucket out by calling from other addresses would start anew.
BUCKETS = 20_000
SHORTEST_FILL_SECONDS = 0.05
FILTER = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"


def route_metadata(label: str) -> Json:
    """For the route: which RPC it is."""
    return {"filter_metadata": {NAMESPACE: {"rpc": label}}}


def by_address(rpcs: list[Rpc], factor: int) -> Json:
    """The filter before the token is looked at."""
    limits = {rpc.label: rpc.per_minute * (1 if rpc.public else PEOPLE_AT_ONE_ADDRESS) for rpc in rpcs}
    limits[ELSEWHERE] = ELSEWHERE_PER_MINUTE
    # A home has a /64 of IPv6 to itself.
    address = {"masked_remote_address": {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": 64}}
    return _filter("address", address, "masked_remote_address", limits, factor)


def by_person(rpcs: list[Rpc], factor: int) -> Json:
    """The filter behind the token's verification; it counts nobody who is not signed in."""
    limits = {rpc.label: rpc.per_minute for rpc in rpcs if not rpc.public}
    path = [{"key": "claims"}, {"key": "sub"}]
    person = {
        "metadata": {
            "descriptor_key": "person",
            "metadata_key": {"key": "envoy.filters.http.jwt_authn", "path": path},
        }
    }
    return _filter("person", person, "person", limits, factor)


def _filter(name: str, who: Json, key: str, limits: dict[str, int], factor: int) -> Json:
    # By then the slowest of all buckets has a token again.
    wait = {"key": "retry-after", "value": str(math.ceil(60 / (min(limits.values()) * factor)))}
    return {
        "name": f"crafiq.limits.{name}",
        "typed_config": {
            "@type": FILTER,
            "stat_prefix": f"limit_by_{name}",
            "max_dynamic_descriptors": BUCKETS,
            "filter_enabled": _always(f"limit_{name}_enabled"),
            "filter_enforced": _always(f"limit_{name}_enforced"),
            "rate_limits": [{"actions": [_what(), who]}],
            "response_headers_to_add": [{"header": wait, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
            "descriptors": [_descriptor(label, key, most * factor) for label, most in limits.items()],
        },
    }


def _what() -> Json:
    metadata_key = {"key": NAMESPACE, "path": [{"key": "rpc"}]}
    what = {"descriptor_key": "rpc", "metadata_key": metadata_key, "source": "ROUTE_ENTRY"}
    return {"metadata": {**what, "default_value": ELSEWHERE}}


def _descriptor(label: str, key: str, per_minute: int) -> Json:
    # The second entry has no value: a bucket for each.
    return {"entries": [{"key": "rpc", "value": label}, {"key": key}], "token_bucket": _bucket(per_minute)}


def _bucket(per_minute: int) -> Json:
    """A minute's worth at once, then evenly: refilled one by one."""
    seconds = max(60 / per_minute, SHORTEST_FILL_SECONDS)
    tokens = max(1, round(per_minute * seconds / 60))
    return {"max_tokens": per_minute, "tokens_per_fill": tokens, "fill_interval": f"{seconds:.3f}s"}


def _always(key: str) -> Json:
    return {"default_value": {"numerator": 100, "denominator": "HUNDRED"}, "runtime_key": key}
