"""A handler must be what its descriptor says, and this is found out at start."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, get_args, get_origin, get_type_hints

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from chassis.rpc.calls import Call

_STREAMS = (AsyncIterator, AsyncGenerator)


def messages(method: MethodDescriptor) -> tuple[type[Message], type[Message]]:
    """The request's and the response's class."""
    return GetMessageClass(method.input_type), GetMessageClass(method.output_type)


def verify(descriptor: ServiceDescriptor, handler: object) -> None:
    """Raise TypeError with every fault: methods that are missing, extra, or typed otherwise."""
    kind = type(handler)
    public = {n for n, _ in inspect.getmembers(kind, inspect.isfunction) if not n.startswith("_")}
    declared = {method.name: method for method in descriptor.methods}
    faults = [f"{name} is missing" for name in declared.keys() - public]
    faults += [f"{name} is not an RPC" for name in public - declared.keys()]
    for name in declared.keys() & public:
        faults += [f"{name}: {fault}" for fault in _faults(declared[name], getattr(kind, name))]
    if faults:
        raise TypeError(
            f"{kind.__qualname__} does not implement {descriptor.full_name}: {'; '.join(sorted(faults))}."
        )


def _faults(method: MethodDescriptor, function: Any) -> list[str]:
    request, response = messages(method)
    names = list(inspect.signature(function).parameters)[1:]
    if len(names) != 2:
        return ["takes a request and a call"]
    hints = get_type_hints(function)
    expected: list[tuple[str, type, bool]] = [
        (names[0], request, bool(method.client_streaming)),
        (names[1], Call, False),
        ("return", response, bool(method.server_streaming)),
    ]
    faults = [
        f"{name} must be {'a stream of ' if stream else ''}{kind.__name__}"
        for name, kind, stream in expected
        if not _is(hints.get(name), kind, stream=stream)
    ]
    made_for = inspect.isasyncgenfunction if method.server_streaming else inspect.iscoroutinefunction
    return faults if made_for(function) else [*faults, "must be an async function, a generator if it streams"]


def _is(hint: Any, kind: type, *, stream: bool) -> bool:
    if stream:
        return get_origin(hint) in _STREAMS and get_args(hint)[0] is kind
    return hint is kind
