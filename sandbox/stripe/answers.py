"""Answers saved under Idempotency-Keys: the same request gets the same answer for a day, failures too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sandbox.stripe import errors
from sandbox.stripe.store import Store

LIFE = 24 * 3600
LONGEST_KEY = 255
Answer = tuple[int, str]
"""Status and body."""


class Answers:
    """Those that are saved, and the keys of requests under way."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._under_way: set[str] = set()

    def earlier(self, key: str, path: str, parameters: dict[str, Any]) -> Answer | None:
        """What was answered under this key. Raises ApiError if that was another request, or is under way."""
        if len(key) > LONGEST_KEY:
            raise errors.key_too_long()
        if key in self._under_way:
            raise errors.key_in_use(key)
        saved = self._store.answers.get(key)
        if saved is None or saved["at"] + LIFE <= self._store.now:
            return None
        if saved["path"] != path:
            raise errors.other_endpoint(key, saved["path"], path)
        if saved["parameters"] != _text(parameters):
            raise errors.other_parameters(key)
        return saved["status"], saved["body"]

    @contextmanager
    def under_way(self, key: str | None) -> Iterator[None]:
        """Another request under the same key is refused meanwhile."""
        if key is not None:
            self._under_way.add(key)
        try:
            yield
        finally:
            self._under_way.discard(key or "")

    def save(self, key: str, path: str, parameters: dict[str, Any], answer: Answer) -> None:
        """What is answered from now on."""
        self._store.answers[key] = {
            "at": self._store.now, "path": path, "parameters": _text(parameters),
            "status": answer[0], "body": answer[1],
        }  # fmt: skip

    def forget(self) -> None:
        """All of them."""
        self._store.answers.clear()
        self._store.save()


def _text(parameters: dict[str, Any]) -> str:
    return json.dumps(parameters, sort_keys=True)
