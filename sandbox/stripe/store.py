"""What Stripe has: objects by kind and id, in the order in which they came, in a file if there is one."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from sandbox.stripe import errors

Object = dict[str, Any]
LETTERS = string.ascii_letters + string.digits
PREFIXES = {
    "customer": "cus_", "product": "prod_", "price": "price_", "subscription": "sub_",
    "subscription_item": "si_", "invoice": "in_", "line_item": "il_", "payment_method": "pm_",
}  # fmt: skip
URLS = {"customer": "/v1/customers", "subscription": "/v1/subscriptions", "invoice": "/v1/invoices"}
PAGE = 10


class Store:
    """`file`: where everything stands between two runs; None keeps it for this run only."""

    def __init__(self, now: Callable[[], datetime], file: Path | None = None) -> None:
        self._now, self._file = now, file
        self._objects: dict[str, dict[str, Object]] = {kind: {} for kind in PREFIXES}
        self.answers: dict[str, Any] = {}
        """Answers saved under Idempotency-Keys."""
        if file is not None and file.exists():
            kept = json.loads(file.read_text(encoding="utf-8"))
            self._objects |= kept["objects"]
            self.answers = kept["answers"]

    @property
    def now(self) -> int:
        """Seconds since 1970."""
        return int(self._now().timestamp())

    def save(self) -> None:
        """Write everything down, all of it or nothing."""
        if self._file is None:
            return
        scratch = self._file.with_name(f".{self._file.name}.new")
        kept = {"objects": self._objects, "answers": self.answers}
        scratch.write_text(json.dumps(kept), encoding="utf-8")
        scratch.chmod(0o600)
        scratch.replace(self._file)

    @staticmethod
    def new_id(kind: str) -> str:
        """As Stripe's look."""
        length = 14 if kind in {"customer", "product"} else 24
        return PREFIXES[kind] + "".join(secrets.choice(LETTERS) for _ in range(length))

    def put(self, made: Object) -> Object:
        """Keep it, new or in place of what it was."""
        self._objects[made["object"]][made["id"]] = made
        return made

    def remove(self, kind: str, name: str) -> None:
        """As if it had never been."""
        self._objects[kind].pop(name, None)

    def get(self, kind: str, name: str, param: str = "id") -> Object:
        """What the URL names (`param` is "id"), or a parameter. Raises ApiError."""
        found = self._objects[kind].get(name)
        if found is None:
            raise errors.missing_object(kind, name, param, in_path=param == "id")
        return found

    def living_customer(self, name: str, param: str = "id") -> Object:
        """A customer who is not deleted. Raises ApiError."""
        customer = self.get("customer", name, param)
        if customer.get("deleted"):
            raise errors.missing_object("customer", name, param, in_path=param == "id")
        return customer

    def all(self, kind: str, wanted: Callable[[Object], bool] = bool) -> list[Object]:
        """The newest first."""
        return [each for each in reversed(self._objects[kind].values()) if wanted(each)]

    def page(self, kind: str, asked: Object, wanted: Callable[[Object], bool]) -> Object:
        """A list object, the newest first: from after or up to before the cursor in `asked`."""
        found, limit = self.all(kind, wanted), asked.get("limit", PAGE)
        if "starting_after" in asked and "ending_before" in asked:
            raise errors.ApiError(
                400, "You may only specify one of these parameters: ending_before, starting_after."
            )
        if "starting_after" in asked:
            found = found[self._place(kind, found, asked, "starting_after") + 1 :]
        if "ending_before" in asked:
            before = found[: self._place(kind, found, asked, "ending_before")]
            found, more = before[-limit:], len(before) > limit
            return {"object": "list", "url": URLS[kind], "has_more": more, "data": found}
        return {"object": "list", "url": URLS[kind], "has_more": len(found) > limit, "data": found[:limit]}

    def _place(self, kind: str, found: list[Object], asked: Object, cursor: str) -> int:
        for place, each in enumerate(found):
            if each["id"] == asked[cursor]:
                return place
        raise errors.missing_object(kind, asked[cursor], cursor)
