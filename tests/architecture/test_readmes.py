"""Who has read one service's page finds everything on another's, and what it says is so."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from chassis.settings import ServiceSettings
from deploy.local.infra import SERVICES

ROOT = Path(__file__).resolve().parents[2]
PARTS = ["Owns", "Offers", "Announces", "Listens to", "Asks", "Keeps", "Settings"]


def _parts(service: str) -> dict[str, str]:
    """The parts of a service's page, in order."""
    text = (ROOT / "services" / service / "README.md").read_text(encoding="utf-8")
    _, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    return {heading: rest for heading, _, rest in (part.partition("\n") for part in parts)}


@pytest.mark.parametrize("service", SERVICES)
def test_each_page_has_the_same_parts_in_the_same_order(service: str) -> None:
    assert [heading for heading in _parts(service) if heading in PARTS] == PARTS
    assert all(_parts(service)[heading].strip() for heading in PARTS)


@pytest.mark.parametrize("service", SERVICES)
def test_a_page_names_every_event_that_its_service_announces(service: str) -> None:
    try:
        events = importlib.import_module(f"crafiq.{service}.v1.events_pb2").DESCRIPTOR.message_types_by_name
    except ModuleNotFoundError:
        events = {}
    said = _parts(service)["Announces"]
    assert not [name for name in events if name not in said]
    assert bool(events) != said.strip().startswith("Nothing")


@pytest.mark.parametrize("service", SERVICES)
def test_a_page_names_every_event_that_its_service_heeds(service: str) -> None:
    consumers = importlib.import_module(f"services.{service}.consumers").Consumers
    blank = consumers.__new__(consumers)  # only the table is read
    heard = [each for each in blank.subscriptions() if each.handle is not None]
    said = _parts(service)["Listens to"]
    for each in heard:
        assert each.event.DESCRIPTOR.name in said
        assert each.source in said
    assert bool(heard) != said.strip().startswith("Nobody")


@pytest.mark.parametrize("service", SERVICES)
def test_a_page_names_everyone_whom_its_service_asks(service: str) -> None:
    wiring = (ROOT / "services" / service / "__main__.py").read_text(encoding="utf-8")
    asked = set(re.findall(r'service\.peer\("(\w+)"\)', wiring))
    said = _parts(service)["Asks"]
    assert asked == {name for name in SERVICES if re.search(rf"\b{name}\b", said)}


@pytest.mark.parametrize("service", SERVICES)
def test_a_page_names_every_setting_that_is_its_services_own(service: str) -> None:
    module = importlib.import_module(f"services.{service}.__main__")
    fields = getattr(module, "Settings", ServiceSettings).model_fields
    common, said = ServiceSettings.model_fields, _parts(service)["Settings"]
    for name in set(fields) - set(common):
        assert f"`CRAFIQ_{name.upper()}`" in said or f"`crafiq_{name}`" in said, name
    known = {f"crafiq_{name}" for name in {*fields, *common}}
    assert {name.lower() for name in re.findall(r"`(crafiq_\w+)`", said, re.IGNORECASE)} <= known
