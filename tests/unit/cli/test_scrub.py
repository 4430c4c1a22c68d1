"""What a scrub says of itself, and what it counts on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cli.scrub.orphans import SPARED, Pieces
from cli.scrub.outcome import Outcome, show
from services.assets.domain.rows import UPLOAD_OPEN


def test_no_upload_that_assets_takes_is_as_old_as_what_a_scrub_deletes() -> None:
    assert UPLOAD_OPEN + timedelta(minutes=10) <= timedelta(seconds=SPARED)


@pytest.mark.parametrize(
    ("unfinished", "spared", "last"),
    [
        ([], frozenset(), "Nothing of it is left."),
        ([], frozenset({"5,01"}), "Nothing is left of what was erased an hour before it began; the next one"),
        (["billing handed over nothing"], frozenset(), "This scrub proves nothing yet."),
    ],
)
def test_its_last_sentence_says_how_much_it_proves(
    unfinished: list[str], spared: frozenset[str], last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = Outcome(datetime(2026, 11, 27, tzinfo=UTC), unfinished=unfinished)
    outcome.objects.orphans = Pieces(spared=spared)
    show(outcome, as_json=False)
    assert capsys.readouterr().out.splitlines()[-1].startswith(last)
