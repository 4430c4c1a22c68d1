"""The canary uses everything there is, and its markers tell which field leaked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli import canary
from cli.canary.files import files
from cli.canary.life import headers
from cli.canary.markers import Markers
from cli.canary.rpcs import rpcs
from cli.search import Needles, spellings
from services.assets.domain.media import clean, media_type

STORY = Path(canary.__file__).parent
NAMES = re.compile(r'"((?:identity|assets|generation|billing|privacy)\.[A-Z]\w+)"')


@pytest.mark.promise("9-delete-now")
def test_the_canary_uses_every_rpc_that_a_person_can_reach() -> None:
    called = {name for path in STORY.glob("*.py") for name in NAMES.findall(path.read_text(encoding="utf-8"))}
    assert called == set(rpcs()), "Give the canary's life (cli/canary/life.py) a use for what is new."
    assert {"identity.SignUp", "generation.StreamGeneration", "assets.PublishAsset"} <= called
    assert "assets.StoreOutput" not in called


def test_each_field_has_a_marker_of_its_own() -> None:
    markers, others = Markers(), Markers()
    words = [markers.word(f"field {number}") for number in range(100)]
    assert len(set(words)) == 100
    assert all(re.fullmatch(r"c[a-z2-7]{25}", word) for word in words)
    assert markers.word("field 1") == words[1]
    assert others.word("field 1") != words[1]
    (hit,) = Needles(markers.given).within(f"something {words[7]}".encode(), "somewhere")
    assert hit.sought.name == "field 7"


def test_no_marker_is_found_where_another_stands() -> None:
    markers = Markers()
    all_of_them = [*files(markers), headers(markers)]
    assert len(all_of_them) == 6
    spelled = [spellings(each.value) for each in markers.given]
    assert sum(map(len, spelled)) == len(set().union(*spelled))


@pytest.mark.parametrize("number", range(5))
def test_nothing_but_what_is_shown_or_heard_stays_of_the_canarys_files(number: int) -> None:
    markers = Markers()
    file = files(markers)[number]
    needles = Needles(markers.given)
    there = {hit.sought.name for hit in needles.within(file.content, "")}
    cleaned = clean(media_type(file.content_type), file.content)
    left = {hit.sought.name for hit in needles.within(cleaned.content, "")}
    if file.content_type == "text/plain":
        assert there == left == {"words in txt"}
    else:
        assert len(there) >= 2
        assert not left
