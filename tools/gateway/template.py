"""Path templates of `google.api.http` as the paths they match."""

from __future__ import annotations

import re
from dataclasses import dataclass

_VARIABLE_WITH_PATTERN = re.compile(r"\{[^{}=]+=([^{}]+)\}")
_VARIABLE = re.compile(r"\{[^{}=]+\}")
_LITERAL = re.compile(r"[\w.~-]+")


@dataclass(frozen=True)
class Template:
    """`/v1/{name=assets/*}:download` is the segments v1, assets, * and the verb download."""

    text: str
    segments: tuple[str, ...]
    verb: str | None

    @classmethod
    def parse(cls, text: str) -> Template:
        """Reads a template; raises ValueError for what is none (google/api/http.proto has the grammar)."""
        flat = _VARIABLE.sub("*", _VARIABLE_WITH_PATTERN.sub(r"\1", text))
        path, colon, verb = flat.partition(":")
        segments = tuple(path.removeprefix("/").split("/"))
        literals = [s for s in (*segments, *([verb] if colon else [])) if s not in {"*", "**"}]
        if not text.startswith("/") or not all(_LITERAL.fullmatch(s) for s in literals):
            raise ValueError(f"{text!r} is not a path template.")
        return cls(text, segments, verb or None)

    @property
    def fixed(self) -> str | None:
        """The one path it matches, or None when it has wildcards."""
        if "*" in self.segments or "**" in self.segments:
            return None
        return self._joined(list(self.segments), self.verb)

    @property
    def regex(self) -> str:
        """For RE2, to match the whole path without its query.

        A colon begins a verb, so no wildcard may swallow one: `assets/*` must not match
        `assets/a1:secret`.
        """
        wildcards = {"*": "[^/:]+", "**": "[^:]+"}
        parts = [wildcards.get(segment) or re.escape(segment) for segment in self.segments]
        return self._joined(parts, re.escape(self.verb) if self.verb else None)

    @property
    def order(self) -> tuple[bool, bool, int, int, str]:
        """Sorts verb templates first, `**` last, and the more literal before the less."""
        wildcards = sum(s in {"*", "**"} for s in self.segments)
        return ("**" in self.segments, self.verb is None, wildcards, -len(self.segments), self.text)

    @staticmethod
    def _joined(parts: list[str], verb: str | None) -> str:
        return "/" + "/".join(parts) + (f":{verb}" if verb else "")
