"""The whole configuration: listeners, clusters with mutual TLS, admin, overload."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.gateway import filters, public, routes, tokens
from tools.gateway.surface import Rpc

Json = dict[str, Any]
MOST_CONNECTIONS = 10_000
MOST_HEAP_BYTES = 512 * 1024 * 1024
# An open stream is a request too.
MOST_REQUESTS = 8192
LONGEST_SOCKET_PATH = 100
ADMIN_CLUSTER = "admin"
_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"


@dataclass(frozen=True)
class Place:
    """Where the gateway listens, what it reaches, and where its files are.

    upstreams: service name to host:port. tls_dir: ca.crt, tls.crt and tls.key of `gateway`.
    admin_port: a loopback port; None is a Unix socket in `out_dir`, which only our user can open.
    tls_port: a second, TLS listener with the same certificate. metrics_port: /metrics by mutual TLS, as
    services have it. limit_factor: multiplies every
    rate limit. s3: host:port of storage; what is public there is then readable at /public/.
    """

    listen_host: str
    listen_port: int
    upstreams: dict[str, str]
    tls_dir: Path
    admin_port: int | None
    tls_port: int | None
    metrics_port: int | None
    out_dir: Path
    origins: list[str]
    limit_factor: int
    s3: str | None

    @property
    def descriptor(self) -> Path:
        """The filtered descriptor set."""
        return self.out_dir / "transcoding.binpb"

    @property
    def document(self) -> Path:
        """What is answered at /openapi.json."""
        return self.out_dir / "openapi.json"


def bootstrap(rpcs: list[Rpc], place: Place) -> Json:
    """envoy.json as an object. Raises ValueError where something it needs is missing."""
    services = sorted({rpc.service for rpc in rpcs})
    missing = [service for service in services if service not in place.upstreams]
    if missing:
        raise ValueError(f"The gateway routes to {missing}: give their host:port in `upstreams`.")
    reachable = routes.route_config(rpcs, place.origins, place.document, public=place.s3 is not None)
    manager = filters.connection_manager(rpcs, place.descriptor, reachable, place.origins, place.limit_factor)
    listeners = [_listener("outside", _tcp(place.listen_host, place.listen_port), manager)]
    if place.tls_port is not None:
        tls = _tcp(place.listen_host, place.tls_port)
        listeners.append(_listener("outside_tls", tls, manager, _downstream_tls(place.tls_dir)))
    for listener in listeners:
        # What `drain_listeners?inboundonly` closes; our own inner ones stay.
        listener["traffic_direction"] = "INBOUND"
    if place.metrics_port is not None:
        listeners.append(_metrics_listener(place, place.metrics_port))
    admin = _admin(place)
    return {
        "node": {"id": "gateway", "cluster": "crafiq"},
        "admin": {"address": admin},
        "static_resources": {
            "listeners": [*listeners, _jwks_listener(rpcs, place)],
            "clusters": [
                *(_cluster(service, place) for service in services),
                *([_storage(place.s3)] if place.s3 else []),
                _own_cluster(tokens.JWKS_CLUSTER, _pipe(place.out_dir / "jwks.sock")),
                _own_cluster(ADMIN_CLUSTER, admin),
                {"name": routes.NOWHERE, "type": "STATIC", "connect_timeout": "1s"},
            ],
        },
        "overload_manager": _overload(),
    }


def _listener(name: str, address: Json, manager: Json, tls: Json | None = None) -> Json:
    chain: Json = {"filters": [{"name": "http", "typed_config": manager}]}
    if tls is not None:
        chain["transport_socket"] = tls
    return {
        "name": name,
        "address": address,
        # A port that is taken is an error: another platform's gateway would get every other connection.
        "enable_reuse_port": False,
        "per_connection_buffer_limit_bytes": 1_048_576,
        "filter_chains": [chain],
    }


def _jwks_listener(rpcs: list[Rpc], place: Place) -> Json:
    """Identity speaks gRPC and Envoy fetches keys by HTTP: it asks itself, through the transcoder."""
    provider = _jwks_rpc(rpcs)
    route = {"match": {"path": tokens.JWKS_PATH}, "route": {"cluster": provider.service, "timeout": "2s"}}
    run = [filters.transcoder([provider], place.descriptor), filters.router()]
    return _listener("jwks", _pipe(place.out_dir / "jwks.sock"), _small_manager("jwks", route, run))


def _metrics_listener(place: Place, port: int) -> Json:
    """Of all that admin can do, its figures, for who has a certificate of ours."""
    match = {"path": "/metrics", "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]}
    rewritten = {"cluster": ADMIN_CLUSTER, "timeout": "5s", "prefix_rewrite": "/stats/prometheus?usedonly"}
    manager = _small_manager("metrics", {"match": match, "route": rewritten}, [filters.router()])
    tls = _downstream_tls(place.tls_dir)
    context = tls["typed_config"]
    context["require_client_certificate"] = True
    authority = {"trusted_ca": {"filename": str(place.tls_dir / "ca.crt")}}
    context["common_tls_context"]["validation_context"] = authority
    return _listener("metrics", _tcp(place.listen_host, port), manager, tls)


def _small_manager(name: str, route: Json, run: list[Json]) -> Json:
    return {
        "@type": filters.MANAGER,
        "stat_prefix": name,
        "route_config": {"virtual_hosts": [{"name": name, "domains": ["*"], "routes": [route]}]},
        "http_filters": run,
    }


def _jwks_rpc(rpcs: list[Rpc]) -> Rpc:
    for rpc in rpcs:
        if any(binding.template.text == tokens.JWKS_PATH for binding in rpc.bindings):
            return rpc
    raise ValueError(f"No RPC serves {tokens.JWKS_PATH}: without keys no token can be verified.")


def _own_cluster(name: str, address: Json) -> Json:
    """A listener of this very process."""
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": _endpoint(name, address),
    }


def _cluster(service: str, place: Place) -> Json:
    host, _, port = place.upstreams[service].rpartition(":")
    protocol = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    bounds = {"max_connections": 256, "max_pending_requests": 1024, "max_requests": MOST_REQUESTS}
    return {
        "name": service,
        "type": "STATIC" if _is_address(host) else "STRICT_DNS",
        "connect_timeout": "1s",
        # Of TCP, not HTTP/2 pings: gRPC servers end connections that ping more than every 5 minutes.
        "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 30, "keepalive_interval": 10}},
        "load_assignment": _endpoint(service, _tcp(host, int(port))),
        "circuit_breakers": {"thresholds": [bounds]},
        "transport_socket": _upstream_tls(service, place.tls_dir),
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": protocol,
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }


def _storage(s3: str) -> Json:
    """HTTP/1.1, as storage speaks it; only what everyone may read passes here."""
    host, _, port = s3.rpartition(":")
    bounds = {"max_connections": 256, "max_pending_requests": 1024, "max_requests": MOST_REQUESTS}
    return {
        "name": public.CLUSTER,
        "type": "STATIC" if _is_address(host) else "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": _endpoint(public.CLUSTER, _tcp(host, int(port))),
        "circuit_breakers": {"thresholds": [bounds]},
    }


def _upstream_tls(service: str, tls_dir: Path) -> Json:
    """Another valid certificate of our own authority is still another service: the name must match."""
    name = {"san_type": "URI", "matcher": {"exact": f"spiffe://crafiq/svc/{service}"}}
    context = {
        "@type": f"{_TLS}.UpstreamTlsContext",
        "common_tls_context": {
            **_own_certificate(tls_dir),
            "alpn_protocols": ["h2"],
            "validation_context": {
                "trusted_ca": {"filename": str(tls_dir / "ca.crt")},
                "match_typed_subject_alt_names": [name],
            },
        },
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _downstream_tls(tls_dir: Path) -> Json:
    context = {
        "@type": f"{_TLS}.DownstreamTlsContext",
        "common_tls_context": {**_own_certificate(tls_dir), "alpn_protocols": ["h2", "http/1.1"]},
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _own_certificate(tls_dir: Path) -> Json:
    certificate = {
        "certificate_chain": {"filename": str(tls_dir / "tls.crt")},
        "private_key": {"filename": str(tls_dir / "tls.key")},
    }
    return {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificates": [certificate],
    }


def _admin(place: Place) -> Json:
    """It can stop the process and shows everything: on loopback at most, better on a Unix socket."""
    if place.admin_port is not None:
        return _tcp("127.0.0.1", place.admin_port)
    return _pipe(place.out_dir / "admin.sock")


def _overload() -> Json:
    kind = "type.googleapis.com/envoy.extensions.resource_monitors"
    connections = {
        "@type": f"{kind}.downstream_connections.v3.DownstreamConnectionsConfig",
        "max_active_downstream_connections": MOST_CONNECTIONS,
    }
    heap = {"@type": f"{kind}.fixed_heap.v3.FixedHeapConfig", "max_heap_size_bytes": MOST_HEAP_BYTES}
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": connections,
            },
            {"name": "envoy.resource_monitors.fixed_heap", "typed_config": heap},
        ],
        "actions": [
            _action("envoy.overload_actions.shrink_heap", 0.9),
            _action("envoy.overload_actions.stop_accepting_requests", 0.95),
        ],
    }


def _action(name: str, threshold: float) -> Json:
    trigger = {"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": threshold}}
    return {"name": name, "triggers": [trigger]}


def _endpoint(cluster: str, address: Json) -> Json:
    return {"cluster_name": cluster, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}


def _tcp(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def _pipe(path: Path) -> Json:
    if len(str(path)) > LONGEST_SOCKET_PATH:
        raise ValueError(f"{path} is too long for a Unix socket: choose a shorter state folder.")
    return {"pipe": {"path": str(path), "mode": 0o600}}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
