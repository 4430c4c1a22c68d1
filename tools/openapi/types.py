"""Messages, enums and comments of a descriptor set, by full name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from tools.gateway.surface import PACKAGE

Place = tuple[tuple[int, ...], str]
# Numbers of fields in google/protobuf/descriptor.proto, of which the paths of comments are made.
_MESSAGES, _ENUMS, _SERVICES = 4, 5, 6
_FIELDS, _NESTED, _NESTED_ENUMS, _VALUES, _METHODS = 2, 3, 4, 2, 2


@dataclass(frozen=True)
class Types:
    """Full names have no leading dot. A comment is one paragraph; Google's own are left out."""

    messages: dict[str, DescriptorProto]
    enums: dict[str, EnumDescriptorProto]
    comments: dict[str, str]

    @classmethod
    def of(cls, files: FileDescriptorSet) -> Types:
        """Reads everything, inside and outside."""
        found = cls({}, {}, {})
        for file in files.file:
            for message in file.message_type:
                found._add_message(f"{file.package}.{message.name}", message)
            for enum in file.enum_type:
                found.enums[f"{file.package}.{enum.name}"] = enum
            if file.package.startswith(PACKAGE):
                found.comments.update(_comments(file))
        return found

    def _add_message(self, name: str, message: DescriptorProto) -> None:
        self.messages[name] = message
        for nested in message.nested_type:
            self._add_message(f"{name}.{nested.name}", nested)
        for enum in message.enum_type:
            self.enums[f"{name}.{enum.name}"] = enum

    def comment(self, name: str) -> str:
        """What the proto says about `crafiq.assets.v1.Asset.title`; empty where it says nothing."""
        return self.comments.get(name, "")

    def field(self, message: str, name: str) -> FieldDescriptorProto:
        """A field by its name in the proto. Raises ValueError where there is none."""
        for field in self.messages[message].field:
            if field.name == name:
                return field
        raise ValueError(f"{message} has no field {name}.")

    def entry_of(self, field: FieldDescriptorProto) -> DescriptorProto | None:
        """Key and value of a map; None for what is no map."""
        message = self.messages.get(type_of(field))
        return message if message is not None and message.options.map_entry else None


def type_of(field: FieldDescriptorProto) -> str:
    """The full name of its message or enum."""
    return field.type_name.removeprefix(".")


def is_repeated(field: FieldDescriptorProto) -> bool:
    """Maps are too."""
    return field.label == FieldDescriptorProto.LABEL_REPEATED


def has_presence(field: FieldDescriptorProto) -> bool:
    """Whether it can be absent: messages, `optional`, members of a oneof."""
    if is_repeated(field):
        return False
    return field.type == FieldDescriptorProto.TYPE_MESSAGE or field.HasField("oneof_index")


def _comments(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    names = dict(_places(file))
    for location in file.source_code_info.location:
        name = names.get(tuple(location.path))
        if name and location.leading_comments:
            yield name, " ".join(location.leading_comments.split())


def _places(file: FileDescriptorProto) -> Iterator[Place]:
    for n, message in enumerate(file.message_type):
        yield from _places_of_message((_MESSAGES, n), f"{file.package}.{message.name}", message)
    for n, enum in enumerate(file.enum_type):
        yield from _places_of_enum((_ENUMS, n), f"{file.package}.{enum.name}", enum)
    for n, service in enumerate(file.service):
        name = f"{file.package}.{service.name}"
        yield (_SERVICES, n), name
        for m, method in enumerate(service.method):
            yield (_SERVICES, n, _METHODS, m), f"{name}.{method.name}"


def _places_of_message(path: tuple[int, ...], name: str, message: DescriptorProto) -> Iterator[Place]:
    yield path, name
    for n, field in enumerate(message.field):
        yield (*path, _FIELDS, n), f"{name}.{field.name}"
    for n, nested in enumerate(message.nested_type):
        yield from _places_of_message((*path, _NESTED, n), f"{name}.{nested.name}", nested)
    for n, enum in enumerate(message.enum_type):
        yield from _places_of_enum((*path, _NESTED_ENUMS, n), f"{name}.{enum.name}", enum)


def _places_of_enum(path: tuple[int, ...], name: str, enum: EnumDescriptorProto) -> Iterator[Place]:
    """Values by `Enum.VALUE`, though to protobuf they are siblings of the enum."""
    yield path, name
    for n, value in enumerate(enum.value):
        yield (*path, _VALUES, n), f"{name}.{value.name}"
