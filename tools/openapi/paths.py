"""Path templates of `google.api.http` as OpenAPI has them: `/v1/{name=assets/*}` is `/v1/assets/{asset}`."""

from __future__ import annotations

import re
from dataclasses import dataclass

_VARIABLE = re.compile(r"\{([^{}=]+)(?:=([^{}]+))?\}")
_WILDCARDS = {"*", "**"}


@dataclass(frozen=True)
class Parameter:
    """One wildcard. name: "asset". field: the path of the field that it is part of, "asset.name".

    before: what stands before it in that field, "assets/".
    """

    name: str
    field: str
    before: str


@dataclass(frozen=True)
class Path:
    """text: as OpenAPI has it."""

    text: str
    parameters: tuple[Parameter, ...]


def path_of(template: str) -> Path:
    """Reads a template that the gateway has accepted."""
    parameters: list[Parameter] = []

    def spelled(variable: re.Match[str]) -> str:
        field, pattern = variable[1], variable[2] or "*"
        segments: list[str] = []
        for segment in pattern.split("/"):
            if segment not in _WILDCARDS:
                segments.append(segment)
                continue
            name = singular(segments[-1]) if segments else field.rsplit(".", 1)[-1]
            before = "".join(f"{each}/" for each in segments)
            parameters.append(Parameter(name, field, before))
            segments.append(f"{{{name}}}")
        return "/".join(segments)

    return Path(_VARIABLE.sub(spelled, template), tuple(parameters))


def singular(plural: str) -> str:
    """The name of one of a collection: `assets` is of `asset`, `entries` of `entry`."""
    if plural.endswith("ies"):
        return f"{plural[:-3]}y"
    return plural.removesuffix("s")
