"""Names as they are kept and compared."""

from __future__ import annotations

import pytest

from services.identity.domain.names import comparable, display_name, user_name
from services.identity.domain.refusals import NameNotAllowed


@pytest.mark.parametrize(
    "deceitful",
    [
        "a\u202eb",
        "a\u2066b",
        "\u200fshalom",
        "tab\there",
        "new\nline",
        "nul\x00",
        "zero\u200bwidth",
        "\ufeffbom",
    ],
)
def test_a_name_that_could_deceive_its_reader_is_refused(deceitful: str) -> None:
    with pytest.raises(NameNotAllowed) as refused:
        display_name(deceitful)
    assert refused.value.violations == (("displayName", "has control or direction characters"),)


@pytest.mark.parametrize("honest", ["Ада Лавлейс", "شریف‌زاده", "岩田 聡", "O'Neill-Smith", "👩‍🚀"])
def test_names_of_the_world_are_kept(honest: str) -> None:
    assert display_name(honest) == honest


@pytest.mark.promise("2a-name-optional")
def test_a_name_is_never_required() -> None:
    assert display_name("") is None
    assert display_name("   ") is None
    assert user_name("") is None


def test_a_composed_and_a_decomposed_name_are_the_same() -> None:
    assert display_name("Ame\u0301lie") == display_name("Am\u00e9lie")


def test_addresses_are_compared_without_regard_to_case_and_blanks() -> None:
    assert comparable(" Ada@Example.COM ") == comparable("ada@example.com")
