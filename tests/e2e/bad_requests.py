"""Bad requests for any call, made from its form: a new RPC gets them without being named anywhere."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from tests.e2e.forms import NAME, Form, Json, Request, at, changed, in_url
from tests.personal import used

# In every text that is made up here: no log may have it.
MARK = used(f"zebra{uuid.uuid4().hex}")
# What may stand where the last segment of a name is expected, in the spelling of URLs.
BAD_NAMES = {
    "of nothing": str(uuid.uuid4()),
    "no UUID": MARK,
    "up and away": "..%2f..%2fetc%2fpasswd",
    "up": "..",
    "up, twice encoded": "%252e%252e%252f",
    "a null character": f"{MARK}%00",
    "a line break": f"{MARK}%0d%0aset-cookie:%20x=1",
    "from right to left": f"%E2%80%AE{MARK}",
    "not UTF-8": f"{MARK}%F0%28",
    "without end": "a" * 9000,
    "any": "*",
    "a blank after it": f"{uuid.uuid4()}%20",
    "a verb after it": f"{uuid.uuid4()}:nosuch",
    "code": in_url(f"1'; DROP TABLE accounts; -- {MARK}"),
    "a broken escape": f"{MARK}%zz",
}
BAD_TEXTS = {
    "too long": MARK + "x" * 20_000,
    "a null character": f"{MARK}\0",
    "control characters": f"{MARK}\x07\x1b[31m\r\n",
    "from right to left": f"{MARK}\u202egpj",
    "half a character": f"{MARK}\ud800",
    "up and away": f"../../{MARK}",
    "a format": f"{MARK}{{0.__class__}}%s%n",
    "nothing": "",
}
BAD_NUMBERS: dict[str, Any] = {
    "negative": -1, "huge": 2**31 - 1, "beyond 32 bits": 2**31, "beyond 64 bits": 2**64, "half": 1.5,
    "no number": MARK,
}  # fmt: skip
NUMBERS = {
    FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
}  # fmt: skip
_DEEP = b'{"a":' * 3000 + b"1" + b"}" * 3000
BAD_BODIES: dict[str, tuple[bytes, str]] = {
    "half an object": (b"{", "application/json"),
    "no JSON": (MARK.encode(), "application/json"),
    "a list": (b"[]", "application/json"),
    "a text": (b'"%b"' % MARK.encode(), "application/json"),
    "an abyss": (_DEEP, "application/json"),
    "not UTF-8": (b'{"a":"\xff\xfe"}', "application/json"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "application/json; charset=utf-16"),
    "a form": (b"a=b&c=" + MARK.encode(), "application/x-www-form-urlencoded"),
    "XML": (b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>", "application/xml"),
}
AS_DOCUMENTED = "nothing but the document's example"
FOREIGN = "another person's"
ANSWERED = {
    ("assets.GetPublication", "name"): "What is public, everyone reads.",
    ("assets.LikePublication", "name"): "What is public, everyone may like.",
    ("assets.UnlikePublication", "name"): "A like that was never given is taken back by changing nothing.",
    ("assets.RemoveAssets", "assets"): "What is not in a pack is no error, whosever it is.",
    ("assets.UpdateAsset", "asset.publication"): "What only the service says is passed over (AIP-203).",
    ("billing.ListEntries", "generation"): "A filter: among the caller's own entries none is of it.",
    ("identity.UpdateAccount", "account.name"): "The token names the account; the body's is passed over.",
}  # fmt: skip
"""Where another person's name is answered, and why: by the RPC and the field."""
# Half an object in front, should the type alone be no reason to refuse.
BAD_TYPES = ("text/plain", "multipart/form-data; boundary=x", "application/\u00ff", "x" * 2000)
BAD_CREDENTIALS = (
    "Bearer", f"Bearer {MARK}", "Bearer a.b.c", "Bearer \u00ff", "Basic YTpi", "Bearer " + "x" * 9000,
)  # fmt: skip


@dataclass(frozen=True)
class Things:
    """mine: one thing of the caller's in each collection (last segment of its name). theirs: of another
    person. tokens: page tokens by the RPC whose list they are of; foreign: of another person's lists.
    """

    mine: Mapping[str, str]
    theirs: Mapping[str, str]
    tokens: Mapping[str, str]
    foreign: Mapping[str, str]


@dataclass(frozen=True)
class Bad:
    """Everything bad for one form."""

    form: Form
    things: Things

    def requests(self) -> Iterator[Request]:
        """Those that must be refused first: of the others one may end the session."""
        asks = self._request(AS_DOCUMENTED, must=None, body=self.form.body(self.form.good))
        both = [
            asks,
            *self._names(),
            *self._fields(),
            *self._queries(),
            *self._bodies(),
            *self._credentials(),
        ]
        yield from sorted(both, key=lambda request: not request.must)

    def _mine(self) -> dict[str, str]:
        return {name: self.things.mine[kind] for name, kind in self.form.variables.items()}

    def _request(
        self, what: str, *, must: bool | None, body: Any = None, query: Any = None, **more: Any
    ) -> Request:
        method, path = self.form.binding.method, self.form.path(more.pop("names", self._mine()), query)
        return Request(what, method, path, body, {"content-type": "application/json", **more}, must)

    def _must(self, place: str, what: str, example: Any) -> bool | None:
        """Whether this value has to be refused or answered there; None if the proto's rules decide."""
        if not kind_of(example) or what not in {FOREIGN, *BAD_NAMES}:
            return None
        # What the path names already: a body may not say anything else.
        if place not in self.form.variables and (self.form.rpc.label, place) in ANSWERED:
            return False if what == FOREIGN else None
        return True

    def _saying(self, what: str, values: Json, *, must: bool | None = None) -> Request:
        if "requestId" in values and not what.startswith("requestId"):
            values = {**values, "requestId": str(uuid.uuid4())}
        broken = self._broken(values) or None if must is None else must
        return self._request(what, must=broken, body=self.form.body(values))

    def _broken(self, values: Json) -> bool:
        """Whether a rule of the proto is broken though the path names something good."""
        return self.form.breaks_a_rule(self.form.named(values, self.things.mine))

    def _names(self) -> Iterator[Request]:
        good = self.form.body(self.form.good)
        for variable, kind in self.form.variables.items():
            others = {FOREIGN: self.things.theirs[kind], **BAD_NAMES}
            for what, name in others.items():
                names = {**self._mine(), variable: name}
                open_to_all = what == FOREIGN and (self.form.rpc.label, variable) in ANSWERED
                yield self._request(f"{variable}: {what}", must=not open_to_all, names=names, body=good)

    def _fields(self) -> Iterator[Request]:
        good = self.form.good
        if body := self.form.binding.body:
            nothing = {} if body == "*" else changed(good, (self.form.json_name(body),), {})
            yield self._saying("nothing at all", nothing)
        for place, own in self.form.in_body():
            what = ".".join(place)
            wrong: Any = {MARK: 1} if own.message_type is None and not own.is_repeated else MARK
            yield self._saying(f"{what}: wrong type", changed(good, place, wrong), must=True)
            without = changed(good, place, ...)
            if what not in self.form.variables and self._broken(without):
                yield self._saying(f"{what}: missing", without)
            example = at(self.form.named(good, self.things.mine), place)
            for kind, value in self._bad_values(own, example):
                values = changed(good, place, [value] if own.is_repeated else value)
                yield self._saying(f"{what}: {kind}", values, must=self._must(what, kind, example))

    def _bad_values(self, own: FieldDescriptor, example: Any) -> Iterator[tuple[str, Any]]:
        if own.type == own.TYPE_STRING:
            yield from BAD_TEXTS.items()
            if kind := kind_of(example):
                yield FOREIGN, f"{kind}/{self.things.theirs[kind]}"
                yield from ((what, f"{kind}/{name}") for what, name in BAD_NAMES.items())
        elif own.cpp_type in NUMBERS:
            yield from BAD_NUMBERS.items()
        elif own.type == own.TYPE_ENUM:
            yield from {"of no such name": MARK, "of no such number": 9999}.items()

    def _queries(self) -> Iterator[Request]:
        body = self.form.body(self.form.good)
        yield self._request("a parameter that there is not", must=True, query={MARK: 1}, body=body)
        for own in self.form.in_query():
            for what, value in self._bad_parameters(own):
                values = {**self.form.good, own.json_name: value}
                must = self._must(own.json_name, what, self.form.good.get(own.json_name))
                if must is None:
                    must = self._broken(values) or (own.name == "page_token" and bool(value)) or None
                raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
                query = {own.json_name: raw}
                yield self._request(f"{own.json_name}: {what}", must=must, query=query, body=body)

    def _bad_parameters(self, own: FieldDescriptor) -> Iterator[tuple[str, Any]]:
        if own.name == "page_token":
            lists = {k: v for k, v in self.things.tokens.items() if k != self.form.rpc.label}
            yield from ((f"of {label}", token) for label, token in lists.items())
            if self.form.rpc.label in self.things.foreign and not self.form.rpc.public:
                token = self.things.foreign[self.form.rpc.label]
                yield from {FOREIGN: token, "forged": token[:-2] + "AA" + MARK[:1]}.items()
        yield from self._bad_values(own, self.form.good.get(own.json_name))
        if own.message_type is not None:
            masks = {"no such field": "nosuch", "up and away": "../x", "a name": "name", "all": "*"}
            yield from masks.items()

    def _bodies(self) -> Iterator[Request]:
        if not self.form.binding.body:
            return
        for what, (content, kind) in BAD_BODIES.items():
            yield self._request(f"body: {what}", must=True, body=content, **{"content-type": kind})
        much = b'{"a":"%b"}' % (b"x" * self.form.rpc.max_body_bytes)
        yield self._request("body: too large", must=True, body=much)
        for kind in BAD_TYPES:
            yield self._request(f"type: {kind[:20]}", must=True, body=b"{", **{"content-type": kind})

    def _credentials(self) -> Iterator[Request]:
        if self.form.rpc.public:
            return
        body = self.form.body(self.form.good)
        for credential in BAD_CREDENTIALS:
            yield self._request(f"as {credential[:20]!r}", must=True, body=body, authorization=credential)


def kind_of(example: Any) -> str:
    """The collection of the name that an example is, or is a list of; empty if it is none."""
    one = example[0] if isinstance(example, list) and example else example
    return one.partition("/")[0] if isinstance(one, str) and NAME.match(one) else ""
