"""What the protos declare is what the gateway gets: no more, and it says what is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from crafiq.options.v1 import options_pb2
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodDescriptorProto

from deploy.local.infra import SERVICES
from tools.gateway import build, replies
from tools.gateway.descriptors import filtered
from tools.gateway.surface import BODY_BYTES, Rpc, outside, parse
from tools.gateway.table import rendered

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def protos() -> FileDescriptorSet:
    """Ours, to be changed by the test."""
    return parse((ROOT / "gen" / "crafiq.binpb").read_bytes())


def _add(
    protos: FileDescriptorSet, name: str, audience: int, path: str = "", **access: Any
) -> MethodDescriptorProto:
    """One more RPC of AssetsService."""
    file = next(f for f in protos.file if f.package == "crafiq.assets.v1" and f.service)
    method = file.service[0].method.add(
        name=name, input_type=".crafiq.assets.v1.GetAssetRequest", output_type=".crafiq.assets.v1.Asset"
    )
    method.options.Extensions[options_pb2.access].CopyFrom(options_pb2.Access(audience=audience, **access))
    if path:
        method.options.Extensions[annotations_pb2.http].get = path
    return method


def _rpc(protos: FileDescriptorSet, name: str) -> Rpc:
    return next(rpc for rpc in outside(protos) if rpc.name == name)


def _build(protos: FileDescriptorSet, folder: Path, **changed: Any) -> dict[str, Any]:
    arguments = {
        "listen_port": 1, "upstreams": dict.fromkeys(SERVICES, "127.0.0.1:2"), "tls_dir": folder,
        "out_dir": folder / "out", "origins": [], **changed,
    }  # fmt: skip
    config: dict[str, Any] = json.loads(build(protos.SerializeToString(), **arguments).read_text())
    return config


def _routes(config: dict[str, Any]) -> list[dict[str, Any]]:
    chain = config["static_resources"]["listeners"][0]["filter_chains"][0]
    routes: list[dict[str, Any]] = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0][
        "routes"
    ]
    return routes


@pytest.mark.promise("8-least-priv")
def test_what_is_for_services_or_for_nobody_is_not_outside(protos: FileDescriptorSet, tmp_path: Path) -> None:
    _add(protos, "Inside", options_pb2.AUDIENCE_SERVICE, "/v1/inside", services=["billing"])
    _add(protos, "Undeclared", options_pb2.AUDIENCE_UNSPECIFIED, "/v1/undeclared")
    assert not {"Inside", "Undeclared"} & {rpc.name for rpc in outside(protos)}
    text = json.dumps(_build(protos, tmp_path))
    assert "nside" not in text.replace("outside", "")
    assert "ndeclared" not in text
    left = filtered(protos)
    assert not {"Inside", "Undeclared"} & {m.name for f in left.file for s in f.service for m in s.method}


def test_the_filtered_descriptor_stands_alone_and_says_nothing_of_events(protos: FileDescriptorSet) -> None:
    left = filtered(protos)
    names: list[str] = []
    for file in left.file:
        assert set(file.dependency) <= set(names), f"{file.name} comes before what it needs"
        assert not file.HasField("source_code_info")
        names.append(file.name)
    assert not [name for name in names if name.endswith("events.proto")]
    assert "google/rpc/error_details.proto" in names


def test_what_the_proto_does_not_say_has_a_default(protos: FileDescriptorSet) -> None:
    _add(protos, "Open", options_pb2.AUDIENCE_PUBLIC, "/v1/open")
    _add(protos, "Own", options_pb2.AUDIENCE_USER, "/v1/own", max_body_bytes=5, rate_limit={"per_minute": 7})
    _add(protos, "Staff", options_pb2.AUDIENCE_OPERATOR, "/v1/staff", role="support")
    assert (_rpc(protos, "Open").per_minute, _rpc(protos, "Open").max_body_bytes) == (120, BODY_BYTES)
    assert (_rpc(protos, "Own").per_minute, _rpc(protos, "Own").max_body_bytes) == (7, 5)
    assert (_rpc(protos, "Staff").per_minute, _rpc(protos, "Staff").public) == (300, False)


def test_a_new_rpc_is_routed_with_its_token_its_limit_and_its_deadline(
    protos: FileDescriptorSet, tmp_path: Path
) -> None:
    method = _add(protos, "Own", options_pb2.AUDIENCE_USER, "/v1/{name=own/*}:look", max_body_bytes=99)
    method.options.Extensions[annotations_pb2.http].additional_bindings.add(post="/v1/own", body="*")
    routes = {r["name"]: r for r in _routes(_build(protos, tmp_path))}
    route = routes["assets.Own GET /v1/{name=own/*}:look"]
    assert route["match"]["safe_regex"]["regex"] == "/v1/own/[^/:]+:look"
    per_filter = route["typed_per_filter_config"]
    assert per_filter["envoy.filters.http.jwt_authn"]["requirement_name"] == "signed_in"
    assert per_filter["envoy.filters.http.buffer"]["buffer"]["max_request_bytes"] == 99
    assert route["request_headers_to_add"][0]["header"] == {"key": "grpc-timeout", "value": "10S"}
    assert {"assets.Own POST /v1/own", "assets.Own gRPC-Web"} <= set(routes)


def test_a_stream_has_no_deadline(protos: FileDescriptorSet, tmp_path: Path) -> None:
    watch = next(r for r in _routes(_build(protos, tmp_path)) if "WatchGeneration GET" in r["name"])
    assert watch["route"]["timeout"] == "0s"
    assert watch["request_headers_to_add"] == []


def test_two_rules_for_the_same_paths_are_refused(protos: FileDescriptorSet, tmp_path: Path) -> None:
    _add(protos, "Twin", options_pb2.AUDIENCE_USER, "/v1/{other=assets/*}")
    with pytest.raises(ValueError, match="match the same paths"):
        _build(protos, tmp_path)


def test_a_service_that_is_not_there_is_named(protos: FileDescriptorSet, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="billing"):
        _build(protos, tmp_path, upstreams=dict.fromkeys(set(SERVICES) - {"billing"}, "127.0.0.1:2"))


def test_a_folder_too_deep_for_a_socket_is_refused(protos: FileDescriptorSet, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shorter state folder"):
        _build(protos, tmp_path, out_dir=tmp_path / ("x" * 100))


def test_upstreams_by_name_are_looked_up_and_by_address_are_not(
    protos: FileDescriptorSet, tmp_path: Path
) -> None:
    upstreams = {**dict.fromkeys(SERVICES, "127.0.0.1:2"), "assets": "assets.crafiq.svc:8443"}
    clusters = _build(protos, tmp_path, upstreams=upstreams)["static_resources"]["clusters"]
    kinds = {c["name"]: c["type"] for c in clusters}
    assert (kinds["assets"], kinds["billing"]) == ("STRICT_DNS", "STATIC")


def test_nothing_is_shared_with_other_origins_unless_they_are_named(
    protos: FileDescriptorSet, tmp_path: Path
) -> None:
    assert "allow_origin_string_match" not in json.dumps(_build(protos, tmp_path))
    assert "preflight" not in {r["name"] for r in _routes(_build(protos, tmp_path))}


def test_every_error_of_the_gateway_has_a_reason_and_a_sentence() -> None:
    statuses = {reply.status for reply in replies.REPLIES}
    assert statuses >= {400, 401, 403, 404, 408, 413, 414, 415, 426, 429, 431, 500, 502, 503, 504}
    assert len({reply.reason for reply in replies.REPLIES}) == len(replies.REPLIES)
    assert all(reply.sentence.endswith(".") for reply in replies.REPLIES)


def test_the_committed_table_is_what_the_protos_say(protos: FileDescriptorSet) -> None:
    committed = (ROOT / "deploy" / "gateway" / "routes.json").read_text()
    assert committed == rendered(outside(protos)), "Run `python -m tools.gateway` and commit it."


def test_envoy_accepts_the_configuration() -> None:
    command = [sys.executable, "-m", "tools.gateway", "--check"]
    run = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": "gen:."}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
