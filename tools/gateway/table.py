"""deploy/gateway/routes.json: what is reachable from outside, for people and for review."""

from __future__ import annotations

import json
from typing import Any

from tools.gateway.surface import UNARY_SECONDS, Binding, Rpc


def rendered(rpcs: list[Rpc]) -> str:
    """The table as text: one line a route, in the order in which the gateway tries them."""
    bindings = sorted(((b, r) for r in rpcs for b in r.bindings), key=lambda pair: pair[0].template.order)
    rows = [_row(rpc, binding) for binding, rpc in bindings]
    rows += [_row(rpc, None) for rpc in rpcs if not rpc.bindings]
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    return f"[\n{lines}\n]\n"


def _row(rpc: Rpc, binding: Binding | None) -> dict[str, Any]:
    """`binding` None: only as gRPC-Web."""
    return {
        "method": binding.method if binding else None,
        "template": binding.template.text if binding else None,
        "rpc": rpc.grpc_path.removeprefix("/"),
        "audience": rpc.audience,
        "perMinute": rpc.per_minute,
        "maxBodyBytes": rpc.max_body_bytes,
        "deadlineSeconds": None if rpc.streams else UNARY_SECONDS,
    }
