"""Names and ids."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from services.generation.domain import GenerationNotFound, generation_id, generation_name, ordered_id

ID = UUID("0b5e1f86-6d7a-4f0e-9f0a-7b1f6f2f8a11")


def test_a_name_leads_back_to_its_id() -> None:
    assert generation_id(generation_name(ID)) == ID


@pytest.mark.parametrize(
    "name",
    [
        "generations/", "generations/1", f"generations/{ID}/..", f"generations/{{{ID}}}",
        f"generations/{ID.hex}", f"generations/{str(ID).upper()}", f"generations/urn:uuid:{ID}",
        f"assets/{ID}",
    ],
)  # fmt: skip
def test_other_spellings_name_nothing(name: str) -> None:
    with pytest.raises(GenerationNotFound, match="no generation of that name"):
        generation_id(name)


def test_the_same_request_of_the_same_person_orders_the_same_generation() -> None:
    key, account, request = b"k" * 32, uuid4(), uuid4()
    first = ordered_id(key, account, request)
    assert first == ordered_id(key, account, request)
    others = {
        ordered_id(key, account, uuid4()),
        ordered_id(key, uuid4(), request),
        ordered_id(b"x" * 32, account, request),
    }
    assert first not in others
    assert len(others) == 3
    assert first.version == 4
