"""Write the tables of ARCHITECTURE.md from the descriptors and the services' subscriptions.

Usage: python -m tools.documents          write them
       python -m tools.documents --check  fail if they are not up to date
"""

from __future__ import annotations

import argparse
import importlib
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from crafiq.identity.v1.events_pb2 import AccountDeleted
from crafiq.options.v1 import options_pb2
from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from chassis import revoked
from deploy.local.infra import SERVICES
from promises.standing import DELETES_ACCOUNTS

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "ARCHITECTURE.md"
EVERY_PROCESS = "every process (whose tokens end)"


def _comments() -> dict[str, str]:
    """The first sentence of each message's and RPC's comment, by full name."""
    found: dict[str, str] = {}
    files = FileDescriptorSet.FromString((ROOT / "gen" / "crafiq.binpb").read_bytes())
    for file in files.file:
        for location in file.source_code_info.location:
            path, text = list(location.path), " ".join(location.leading_comments.split())
            sentence = re.split(r"(?<=[.:;]) ", text)[0].rstrip(":;")
            if len(path) == 2 and path[0] == 4:
                found[f"{file.package}.{file.message_type[path[1]].name}"] = sentence
            elif len(path) == 4 and path[0] == 6 and path[2] == 2:
                service = file.service[path[1]]
                found[f"{file.package}.{service.name}.{service.method[path[3]].name}"] = sentence
    return found


def listeners() -> dict[str, list[str]]:
    """Who heeds each event: as its own table says, `keep_promises`, or chassis/revoked.py."""
    found: dict[str, list[str]] = defaultdict(list)
    for service in SERVICES:
        consumers = importlib.import_module(f"services.{service}.consumers")
        # Only the table is read: nothing is consumed, so nothing has to be wired.
        blank = consumers.Consumers.__new__(consumers.Consumers)
        for subscription in (s for s in blank.subscriptions() if s.handle is not None):
            found[subscription.event.DESCRIPTOR.full_name].append(service)
        if service != DELETES_ACCOUNTS:
            found[AccountDeleted.DESCRIPTOR.full_name].append(service)
    for event in revoked.EVENTS:
        found[event.DESCRIPTOR.full_name].append(EVERY_PROCESS)
    return found


def events() -> str:
    """The event table: who announces what, who listens."""
    comments, heed = _comments(), listeners()
    rows = ["| event | announced by | heard by | when |", "|---|---|---|---|"]
    for service in SERVICES:
        try:
            module = importlib.import_module(f"crafiq.{service}.v1.events_pb2")
        except ModuleNotFoundError:
            continue
        for name, message in sorted(module.DESCRIPTOR.message_types_by_name.items()):
            heard = ", ".join(heed[message.full_name]) or "nobody yet"
            rows.append(f"| `{name}` | {service} | {heard} | {comments[message.full_name]} |")
    return "\n".join(rows)


def _who(method: MethodDescriptor) -> str:
    access = method.GetOptions().Extensions[options_pb2.access]
    audience = options_pb2.Audience.Name(access.audience).removeprefix("AUDIENCE_").lower()
    return ", ".join(access.services) if access.services else audience


def _route(method: MethodDescriptor) -> str:
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    if verb:
        return f"`{verb.upper()} {getattr(rule, verb)}`"
    inside = method.GetOptions().Extensions[options_pb2.access].audience == options_pb2.AUDIENCE_SERVICE
    return "inside only" if inside else "gRPC-Web"


def rpcs() -> str:
    """The RPC table: where, for whom, for which purpose."""
    comments = _comments()
    rows = ["| RPC | outside | who | purpose | what |", "|---|---|---|---|---|"]
    for service in (*SERVICES, "promises"):
        module = importlib.import_module(f"crafiq.{service}.v1.{service}_pb2")
        offered_by = "each service" if service == "promises" else service
        for descriptor in module.DESCRIPTOR.services_by_name.values():
            for method in descriptor.methods:
                access = method.GetOptions().Extensions[options_pb2.access]
                purpose = options_pb2.Purpose.Name(access.purpose).removeprefix("PURPOSE_").lower()
                cells = (f"{offered_by}.{method.name}", _route(method), _who(method), purpose)
                rows.append(f"| {' | '.join(cells)} | {comments.get(method.full_name, '')} |")
    return "\n".join(rows)


def _sections() -> Iterator[tuple[str, str]]:
    for name, table in (("events", events()), ("rpcs", rpcs())):
        pattern = rf"(<!-- {name}: .*? -->\n).*?(<!-- end of {name} -->)"
        yield pattern, rf"\g<1>\n{table.replace(chr(92), chr(92) * 2)}\n\n\g<2>"


def main() -> int:
    """Write or check; answers the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if something is stale")
    check = parser.parse_args().check
    before = text = DOCUMENT.read_text(encoding="utf-8")
    for pattern, replacement in _sections():
        text = re.sub(pattern, replacement, text, flags=re.DOTALL)
    if check and text != before:
        print("ARCHITECTURE.md is not up to date: run `make proto` and commit it.")
        return 1
    if not check:
        DOCUMENT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
