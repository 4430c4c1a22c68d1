"""Rate limits: one bucket per RPC and caller, shared by its REST and gRPC-Web routes.

A route says what it is (`rpc`) and Envoy who calls; the filters hold a bucket for each pair. There
are two filters: by address before anyone is known, and by person once the token is verified.
"""

from __future__ import annotations

from typing import Any

from tools.gateway.surface import Rpc

Json = dict[str, Any]
ADDRESS_STAGE, PERSON_STAGE = 0, 1
# Several people may share an address; what one may do, so many at one address may do together.
PEOPLE_AT_ONE_ADDRESS = 10
# Buckets remembered per RPC, least recently used out first: a caller who could push his own
# bucket out by calling from other addresses would start anew.
BUCKETS = 20_000
SHORTEST_FILL_SECONDS = 0.05
FILTER = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"


def actions(rpc: Rpc) -> list[Json]:
    """For the route: the descriptors that the two filters look up."""
    by_person = [] if rpc.public else [{"stage": PERSON_STAGE, "actions": [_what(rpc.label), _person()]}]
    return [{"stage": ADDRESS_STAGE, "actions": [_what(rpc.label), _address()]}, *by_person]


def by_address(rpcs: list[Rpc], factor: int) -> Json:
    """The filter before the token is looked at."""
    limits = {rpc.label: rpc.per_minute * (1 if rpc.public else PEOPLE_AT_ONE_ADDRESS) for rpc in rpcs}
    return _filter("address", ADDRESS_STAGE, "masked_remote_address", limits, factor)


def by_person(rpcs: list[Rpc], factor: int) -> Json:
    """The filter behind the token's verification."""
    limits = {rpc.label: rpc.per_minute for rpc in rpcs if not rpc.public}
    return _filter("person", PERSON_STAGE, "person", limits, factor)


def _what(label: str) -> Json:
    return {"generic_key": {"descriptor_key": "rpc", "descriptor_value": label}}


def _address() -> Json:
    # A home has a /64 of IPv6 to itself.
    return {"masked_remote_address": {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": 64}}


def _person() -> Json:
    path = [{"key": "claims"}, {"key": "sub"}]
    return {
        "metadata": {
            "descriptor_key": "person",
            "metadata_key": {"key": "envoy.filters.http.jwt_authn", "path": path},
            # Nobody: the service refuses such a call, and the address filter has counted it.
            "skip_if_absent": True,
        }
    }


def _filter(name: str, stage: int, key: str, limits: dict[str, int], factor: int) -> Json:
    return {
        "name": f"crafiq.limits.{name}",
        "typed_config": {
            "@type": FILTER,
            "stat_prefix": f"limit_by_{name}",
            "stage": stage,
            "token_bucket": _bucket(1_000_000),  # of those that have no descriptor: none
            "always_consume_default_token_bucket": False,
            "max_dynamic_descriptors": BUCKETS,
            "filter_enabled": _always(f"limit_{name}_enabled"),
            "filter_enforced": _always(f"limit_{name}_enforced"),
            "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
            "descriptors": [
                {
                    "entries": [{"key": "rpc", "value": label}, {"key": key}],
                    "token_bucket": _bucket(per_minute * factor),
                }
                for label, per_minute in limits.items()
            ],
        },
    }


def _bucket(per_minute: int) -> Json:
    """A minute's worth at once, then evenly: `per_minute` tokens, refilled one by one."""
    seconds = max(60 / per_minute, SHORTEST_FILL_SECONDS)
    tokens = max(1, round(per_minute * seconds / 60))
    return {
        "max_tokens": per_minute,
        "tokens_per_fill": tokens,
        "fill_interval": f"{seconds:.3f}s",
    }


def _always(key: str) -> Json:
    return {"default_value": {"numerator": 100, "denominator": "HUNDRED"}, "runtime_key": key}
