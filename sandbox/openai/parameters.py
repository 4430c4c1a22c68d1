"""A request's fields, checked as strictly as OpenAI checks them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from sandbox.openai import catalogue, errors

LONGEST_PROMPT = 32_000
FORMATS = ["png", "webp", "jpeg"]
BACKGROUNDS = ["transparent", "opaque", "auto"]
SHARED = frozenset(
    {
        "prompt", "model", "n", "size", "quality", "output_format", "output_compression",
        "background", "moderation", "complexity", "user", "safety_identifier",
        "stream", "partial_images",
    }
)  # fmt: skip
GENERATION_FIELDS = SHARED
EDIT_FIELDS = SHARED | {"input_fidelity"}
WHOLE_NUMBERS = {"n": (1, 10), "output_compression": (0, 100), "partial_images": (0, 3)}


@dataclass(frozen=True)
class Wanted:
    """What is asked for: `n` pictures of `size` pixels in `output_format`."""

    model: catalogue.Model
    prompt: str
    n: int
    size: tuple[int, int]
    quality: str
    output_format: str
    output_compression: int
    background: str
    safety_identifier: str | None


def from_form(fields: dict[str, str]) -> dict[str, Any]:
    """Multipart fields are all text: whole numbers and `stream` as JSON would have them."""
    typed: dict[str, Any] = dict(fields)
    for name in WHOLE_NUMBERS.keys() & fields.keys():
        text = fields[name]
        typed[name] = int(text) if text.lstrip("-").isdecimal() else text
    if fields.get("stream") in {"true", "false"}:
        typed["stream"] = fields["stream"] == "true"
    return typed


def read(fields: dict[str, Any], known: frozenset[str], today: date) -> Wanted:
    """What `fields` ask for. Raises ApiError for whatever OpenAI refuses."""
    for name in fields:
        if name not in known:
            raise errors.unknown(name)
    fields = {name: value for name, value in fields.items() if value is not None}
    prompt = _prompt(fields)
    model = catalogue.find(_text(fields, "model", "gpt-image-2"), today)
    _refuse_what_is_not_offered(fields, model)
    background = _one_of(fields, "background", BACKGROUNDS, "auto")
    output_format = _one_of(fields, "output_format", FORMATS, "png")
    if background == "transparent" and output_format == "jpeg":
        raise errors.invalid_value("output_format", output_format, ["png", "webp"])
    quality = _one_of(fields, "quality", [*model.qualities, "auto"], "auto")
    return Wanted(
        model=model,
        prompt=prompt,
        n=_whole(fields, "n", 1),
        size=catalogue.parse_size(model, _text(fields, "size", "auto")),
        quality="medium" if quality == "auto" else quality,
        output_format=output_format,
        output_compression=_whole(fields, "output_compression", 100),
        background="transparent" if background == "transparent" else "opaque",
        safety_identifier=_text(fields, "safety_identifier", "") or _text(fields, "user", "") or None,
    )


def _refuse_what_is_not_offered(fields: dict[str, Any], model: catalogue.Model) -> None:
    _one_of(fields, "moderation", ["low", "auto"], "auto")
    _one_of(fields, "complexity", ["low", "medium", "high"], "low")
    _whole(fields, "partial_images", 0)
    if "input_fidelity" in fields and model.free_sizes:
        raise errors.ApiError(
            400,
            f"The model '{model.id}' does not support the 'input_fidelity' parameter.",
            code="invalid_input_fidelity_model",
            param="input_fidelity",
        )
    _one_of(fields, "input_fidelity", ["low", "high"], "low")
    if fields.get("stream", False) is not False:
        # The real API streams partial pictures; the product never asks for them.
        raise errors.ApiError(
            400, "This sandbox does not stream: leave 'stream' out.", code="unsupported_value", param="stream"
        )


def _prompt(fields: dict[str, Any]) -> str:
    if "prompt" not in fields:
        raise errors.missing("prompt")
    prompt = _text(fields, "prompt", "")
    if not 1 <= len(prompt) <= LONGEST_PROMPT:
        raise errors.text_length("prompt", len(prompt), LONGEST_PROMPT)
    return prompt


def _text(fields: dict[str, Any], name: str, default: str) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise errors.invalid_type(name, "a string", value)
    return value


def _one_of(fields: dict[str, Any], name: str, supported: list[str], default: str) -> str:
    value = _text(fields, name, default)
    if value not in supported:
        raise errors.invalid_value(name, value, supported)
    return value


def _whole(fields: dict[str, Any], name: str, default: int) -> int:
    value = fields.get(name, default)
    # In Python True is an int, in JSON it is none.
    if isinstance(value, bool) or not isinstance(value, int):
        raise errors.invalid_type(name, "an integer", value)
    lowest, highest = WHOLE_NUMBERS[name]
    if not lowest <= value <= highest:
        raise errors.out_of_range(name, value, lowest, highest)
    return value
