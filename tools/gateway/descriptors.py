"""The descriptor that the transcoder gets: nothing in it that does not exist outside.

The transcoder, not the route, chooses the RPC: with the full descriptor `GET /v1/assets/a1:secret`
matched the route of GetAsset and reached a hidden RPC. What it does not know it cannot choose.
"""

from __future__ import annotations

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from tools.gateway.surface import PACKAGE, is_outside

# Errors travel as Any: the transcoder prints only what it knows.
ALWAYS = ("google/rpc/status.proto", "google/rpc/error_details.proto")


def filtered(files: FileDescriptorSet) -> FileDescriptorSet:
    """`files` without inside RPCs, without services that have no other, without comments.

    Files that nothing left needs are dropped as well, so that inside messages are not named.
    """
    by_name = {file.name: _without_inside(file) for file in files.file}
    wanted: dict[str, None] = {}
    for name, file in by_name.items():
        if (file.package.startswith(PACKAGE) and file.service) or name in ALWAYS:
            _add_with_imports(name, by_name, wanted)
    return FileDescriptorSet(file=[by_name[name] for name in wanted])


def _add_with_imports(name: str, by_name: dict[str, FileDescriptorProto], wanted: dict[str, None]) -> None:
    """Dependencies first, as a descriptor set must be."""
    if name in wanted:
        return
    for imported in by_name[name].dependency:
        _add_with_imports(imported, by_name, wanted)
    wanted[name] = None


def _without_inside(file: FileDescriptorProto) -> FileDescriptorProto:
    copy = FileDescriptorProto()
    copy.CopyFrom(file)
    copy.ClearField("source_code_info")
    if not file.package.startswith(PACKAGE):
        return copy
    for service in copy.service:
        kept = [method for method in service.method if is_outside(method)]
        del service.method[:]
        service.method.extend(kept)
    services = [service for service in copy.service if service.method]
    del copy.service[:]
    copy.service.extend(services)
    return copy
