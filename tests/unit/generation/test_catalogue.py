"""What can be ordered, from the catalogue that is shipped and from smaller ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.generation.domain import Catalogue, Task
from services.generation.domain.refusals import (
    ModelShutDown,
    ModelUnknown,
    ModelUnpriced,
    TaskUnavailable,
)

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SHIPPED = Catalogue.parse((ROOT / "services/generation/documents/catalogue.toml").read_text(encoding="utf-8"))


def small(**changes: object) -> Catalogue:
    """Two models of one vendor; `changes` are for the one that is the default."""
    vendor = {
        "title": "Vendor", "retention": "Keeps nothing.", "retention_days": 0, "trains_on_input": False,
        "region": "EU", "terms_uri": "https://vendor.example/terms",
    }  # fmt: skip
    model = {
        "title": "Model", "vendor": "vendor", "tasks": ["TEXT_TO_IMAGE"], "credits": 3, "max_count": 2,
        "max_inputs": 0, "max_input_bytes": 0, "input_types": [],
    }  # fmt: skip
    first = {**model, "default_for": ["TEXT_TO_IMAGE"], **changes}
    return Catalogue.model_validate(
        {"vendors": {"vendor": vendor}, "models": {"spare": model, "first": first}}
    )


def test_the_shipped_default_makes_pictures_from_words_and_from_pictures() -> None:
    for task in (Task.TEXT_TO_IMAGE, Task.IMAGE_TO_IMAGE):
        assert SHIPPED.choose("", task, NOW)[0] == "gpt-image-2.6-flare"


@pytest.mark.promise("5-ai-vendors")
def test_every_vendor_says_what_it_keeps_and_that_it_does_not_train() -> None:
    for card in SHIPPED.vendors.values():
        assert str(card.retention_days) in card.retention
        assert not card.trains_on_input
        assert card.terms_uri.startswith("https://")


def test_every_shipped_model_has_a_price() -> None:
    assert SHIPPED.usable(NOW) == SHIPPED.models


@pytest.mark.parametrize("name", ["first", "models/first"])
def test_a_model_is_named_with_or_without_its_collection(name: str) -> None:
    assert small().choose(name, Task.TEXT_TO_IMAGE, NOW)[0] == "first"


def test_a_model_that_its_vendor_ended_is_refused_from_that_moment() -> None:
    catalogue = small(shutdown_at=NOW)
    assert catalogue.choose("first", Task.TEXT_TO_IMAGE, NOW - timedelta(seconds=1))[0] == "first"
    with pytest.raises(ModelShutDown):
        catalogue.choose("first", Task.TEXT_TO_IMAGE, NOW)


def test_a_default_that_ended_is_followed_by_the_next_model() -> None:
    assert small(shutdown_at=NOW).choose("", Task.TEXT_TO_IMAGE, NOW)[0] == "spare"


def test_a_model_without_a_price_is_refused_and_not_listed() -> None:
    catalogue = small(credits=None)
    assert list(catalogue.usable(NOW)) == ["spare"]
    with pytest.raises(ModelUnpriced):
        catalogue.choose("first", Task.TEXT_TO_IMAGE, NOW)


def test_a_model_that_is_not_there_is_refused_without_repeating_what_was_written() -> None:
    with pytest.raises(ModelUnknown, match="There is no model nothing;"):
        small().choose("nothing", Task.TEXT_TO_IMAGE, NOW)
    with pytest.raises(ModelUnknown, match="There is no model of that name;"):
        small().choose("../\u202e secret", Task.TEXT_TO_IMAGE, NOW)


def test_a_task_that_nobody_does_is_refused() -> None:
    with pytest.raises(TaskUnavailable):
        small().choose("", Task.TEXT_TO_VIDEO, NOW)


@pytest.mark.promise("6-vendor-list")
def test_without_a_configured_vendor_its_models_are_not_there() -> None:
    assert SHIPPED.of([]).models == {}
    assert SHIPPED.of(["openai"]) == SHIPPED


@pytest.mark.parametrize(
    "fault",
    [{"vendor": "nobody"}, {"default_for": ["TEXT_TO_VIDEO"]}, {"credits": 0}, {"colour": "red"}],
    ids=lambda fault: next(iter(fault)),
)
def test_a_catalogue_that_contradicts_itself_is_not_read(fault: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        small(**fault)
