"""How a call of the public API is written, read from the protos: method, path, query, body."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from protovalidate import Validator

from tests.e2e.matrix import methods
from tools.gateway.surface import Binding, Rpc, outside, parse
from tools.openapi.examples import Examples
from tools.openapi.types import Types

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"^[a-z]+/[0-9a-f-]{36}$")
# The pattern with the variables of a path: `{name=assets/*}`.
VARIABLE = re.compile(r"\{([\w.]+)(?:=([^}]+))?\}")
_validator = Validator()


@dataclass(frozen=True)
class Request:
    """What is sent. must: it has to be refused, or answered (False); None: it only may not break anything."""

    what: str
    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    must: bool | None = True


@dataclass(frozen=True)
class Form:
    """One HTTP rule of one RPC. good: a request that keeps all rules of the proto, but for what the path
    names, which is not in it: a body that says it too has to say the same, or the gateway refuses it.
    """

    rpc: Rpc
    binding: Binding
    good: Json

    @property
    def message(self) -> Descriptor:
        """The request's."""
        return descriptor_pool.Default().FindMessageTypeByName(self.rpc.request)

    @property
    def variables(self) -> dict[str, str]:
        """The fields that the path names, with the collection that each is of."""
        found = VARIABLE.findall(self.binding.template.text)
        return {name: pattern.removesuffix("/*") for name, pattern in found}

    def in_body(self) -> Iterator[tuple[tuple[str, ...], FieldDescriptor]]:
        """Each field that a body may carry, with its place in the request; what the path names too."""
        body = self.binding.body
        if body == "*":
            yield from (((own.json_name,), own) for own in self.message.fields)
        elif body:
            inner = self.message.fields_by_name[body].message_type
            yield from (((self.json_name(body), own.json_name), own) for own in inner.fields)

    def named(self, values: Json, names: Mapping[str, str]) -> Json:
        """The request as the service gets it: with the things that the path names, by their last segments."""
        for variable, kind in self.variables.items():
            values = changed(values, tuple(variable.split(".")), f"{kind}/{names[kind]}")
        return values

    def in_query(self) -> Iterator[FieldDescriptor]:
        """Each field that a query carries."""
        if self.binding.body != "*":
            taken = {name.partition(".")[0] for name in self.variables} | {self.binding.body}
            yield from (own for own in self.message.fields if own.name not in taken)

    def json_name(self, name: str) -> str:
        """How a field of the request is spelled in JSON."""
        return self.message.fields_by_name[name].json_name

    def path(self, names: Mapping[str, str], query: Mapping[str, Any] | None = None) -> str:
        """The path with these last segments of names, in the spelling of URLs; and a query."""

        def one(found: re.Match[str]) -> str:
            return found[2].replace("*", names[found[1]]) if found[2] else names[found[1]]

        path = VARIABLE.sub(one, self.binding.template.text)
        return f"{path}?{urlencode(query, doseq=True)}" if query else path

    def body(self, values: Json) -> bytes | None:
        """The body that says `values`; None where the call has none."""
        if not self.binding.body:
            return None
        part = values
        if self.binding.body != "*":
            part = values[self.json_name(self.binding.body)]
        return json.dumps(part).encode()

    def breaks_a_rule(self, values: Json) -> bool:
        """Whether the proto's rules refuse `values`."""
        request = message_factory.GetMessageClass(self.message)()
        try:
            json_format.ParseDict(values, request, ignore_unknown_fields=True)
        except json_format.ParseError:
            return True
        return bool(_validator.collect_violations(request))


@cache
def forms() -> dict[str, Form]:
    """Every HTTP rule that there is, by RPC and rule: `assets.GetAsset GET /v1/{name=assets/*}`."""
    # Importing them is what fills the pool.
    assert list(methods())
    return {
        f"{rpc.label} {binding.method} {binding.template.text}": _form(rpc, binding)
        for rpc in outside(_files())
        for binding in rpc.bindings
    }


@cache
def unbound() -> dict[str, tuple[Rpc, Json]]:
    """The RPCs that people call by gRPC-Web alone, by label, each with a request that keeps all rules."""
    return {rpc.label: (rpc, good(rpc.request)) for rpc in outside(_files()) if not rpc.bindings}


def _form(rpc: Rpc, binding: Binding) -> Form:
    form = Form(rpc, binding, good(rpc.request))
    values = form.good
    for variable in form.variables:
        values = changed(values, tuple(variable.split(".")), ...)
    return replace(form, good=values)


@cache
def _files() -> FileDescriptorSet:
    return parse((ROOT / "gen" / "crafiq.binpb").read_bytes())


@cache
def _examples() -> Examples:
    return Examples(Types.of(_files()))


def good(request: str) -> Json:
    """The document's example of a request, without what would be refused before anything is looked at."""
    example = _examples().message(request)
    # An etag of another state.
    return {
        name: {key: own for key, own in value.items() if key != "etag"} if isinstance(value, dict) else value
        for name, value in example.items()
        if name != "etag"
    }


def named(values: Json) -> Iterator[tuple[tuple[str, ...], str | list[str]]]:
    """Where names of things stand in a request, and what stands there: a name, or a list of one."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from (((key, *place), names) for place, names in named(value))
        one = value[0] if isinstance(value, list) and value else value
        if isinstance(one, str) and NAME.match(one):
            yield (key,), value


def changed(values: Json, place: tuple[str, ...], value: Any) -> Json:
    """A copy in which one field is another; `...` leaves it out."""
    head, *tail = place
    copy = dict(values)
    if tail:
        copy[head] = changed(copy.get(head, {}), tuple(tail), value)
    elif value is ...:
        copy.pop(head, None)
    else:
        copy[head] = value
    return copy


def at(values: Json, place: tuple[str, ...]) -> Any:
    """What stands at a place of the request; None if nothing does."""
    head, *tail = place
    return at(values.get(head, {}), tuple(tail)) if tail else values.get(head)


def in_url(text: str) -> str:
    """Percent-encoded whole."""
    return quote(text, safe="")
