"""What people have: one thing of every kind that the public API names, made as a person makes them."""

from __future__ import annotations

import uuid

from cli.demo import example
from tests.e2e.conftest import Person
from tests.e2e.forms import forms


async def settle(person: Person) -> dict[str, str]:
    """Gives somebody one thing of every kind; answers the last segments of their names."""
    photo = example.plain().read_bytes()
    upload = await person.open(photo, "coffee.png", "image/png")
    await person.api.put(upload["url"], photo, upload["headers"])
    asset = await person.api.post(f"/v1/{upload['name']}:complete")
    order = await person.order("a brass bell in the rain")
    assert (await person.finished(order["name"]))["state"] == "SUCCEEDED"
    session = (await person.api.get("/v1/sessions"))["sessions"][0]
    named = dict(thing["name"].split("/") for thing in (upload, asset, order, session))
    return {kind: named.get(kind) or await _made(person, kind) for kind in _kinds()}


def _kinds() -> set[str]:
    return {kind for form in forms().values() for kind in form.variables.values()}


async def _made(person: Person, kind: str) -> str:
    """The name of a new thing, if things of that kind can be made just so; else one of nothing."""
    creating = ("POST", f"/v1/{kind}")
    found = (f for f in forms().values() if (f.binding.method, f.binding.template.text) == creating)
    create = next(found, None)
    if create is None:
        return str(uuid.uuid4())
    made = await person.api.post(create.path({}), **{**create.good, "requestId": str(uuid.uuid4())})
    return str(made["name"]).partition("/")[2]
