"""What a scrub did and found, as a table for people and as JSON for programs. No value is in either."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cli.local import print_table
from cli.scrub.rewriting import Rewritten
from cli.scrub.storage import Vacuumed
from cli.search import Hit
from cli.search.files import Looked

SHOWN = 50
"""Hits that are listed; all are counted."""


@dataclass
class Streams:
    """What the bus keeps: messages that carry names, until they are too old."""

    messages: int = 0
    size: int = 0
    oldest: datetime | None = None


@dataclass
class Outcome:
    """`hits`: what was found that stands in no living row; `living`: values found that do, somebody else's.

    `unfinished`: what could not be done, a sentence each; nothing is proven then.
    """

    began: datetime
    values: int = 0
    databases: dict[str, Rewritten] = field(default_factory=dict)
    objects: Vacuumed = field(default_factory=Vacuumed)
    blended: int = 0
    streams: Streams = field(default_factory=Streams)
    looked: Looked = field(default_factory=Looked)
    hits: list[Hit] = field(default_factory=list)
    living: int = 0
    unfinished: list[str] = field(default_factory=list)
    ended: datetime | None = None

    @property
    def found(self) -> int:
        """How many of the values were found."""
        return len({hit.sought for hit in self.hits})

    @property
    def clean(self) -> bool:
        """Everything was done and nothing found."""
        return not self.hits and not self.unfinished

    def as_json(self) -> dict[str, Any]:
        """As `scrub --json` prints it."""
        done = self.databases.values()
        return {
            "began": self.began.isoformat(),
            "ended": self.ended.isoformat() if self.ended else None,
            "clean": self.clean,
            "tables": sum(each.looked_at for each in done),
            "tablesRewritten": sum(each.tables for each in done),
            "bytesRewritten": sum(each.size for each in done),
            "rowsRestamped": sum(each.restamped for each in done),
            "publicWorksBlended": self.blended,
            "deletedObjectBytes": self.objects.deleted,
            "orphanObjectBytes": self.objects.orphans.size,
            "orphanObjectPiecesSpared": len(self.objects.orphans.spared),
            "deletedObjectBytesLeft": self.objects.left,
            "messages": self.streams.messages,
            "oldestMessage": self.streams.oldest.isoformat() if self.streams.oldest else None,
            "searchedFiles": self.looked.files,
            "searchedBytes": self.looked.size,
            "searchedValues": self.values,
            "valuesFound": self.found,
            "valuesFoundInLivingRows": self.living,
            "hits": [
                {"value": hit.sought.name, "place": hit.place, "at": hit.at} for hit in self.hits[:SHOWN]
            ],
            "unfinished": self.unfinished,
        }

    def as_table(self) -> Iterator[tuple[str, str, str]]:
        """What, how much, and what came of it."""
        said, done = self.as_json(), self.databases
        yield ("what", "how much", "outcome")
        for service, each in done.items():
            outcome = f"{each.tables} rewritten, {each.size:,} bytes"
            if each.restamped:
                outcome += f"; {each.restamped} rows of nobody's restamped"
            yield (f"tables of {service}", f"{each.looked_at}", outcome)
        yield ("public works", f"{self.blended}", "written anew, in random order")
        removed = f"{self.objects.deleted - self.objects.left:,} bytes of deleted objects removed"
        if self.objects.orphans.size:
            removed += f", {self.objects.orphans.size:,} of them left behind when storage was killed"
        if self.objects.orphans.spared:
            removed += (
                f"; {len(self.objects.orphans.spared)} pieces spared, they may be of an upload under way"
            )
        yield ("object volumes", f"{self.objects.volumes}", removed)
        oldest = f"{self.streams.oldest:%Y-%m-%d %H:%M} UTC" if self.streams.oldest else "none"
        yield ("messages on the bus", f"{self.streams.messages}", f"names only; the oldest {oldest}")
        files = f"searched, {said['searchedBytes']:,} bytes"
        yield ("raw files", f"{self.looked.files}", files)
        found = f"{self.found} found"
        if self.living:
            found += f"; {self.living} more that stand in somebody's living rows"
        yield ("values looked for", f"{self.values}", found)

    def details(self) -> Iterator[str]:
        """Where something was found, and what could not be done."""
        for hit in self.hits[:SHOWN]:
            yield f"FOUND {hit.sought.name} in {hit.place} at {hit.at}"
        if len(self.hits) > SHOWN:
            yield f"and {len(self.hits) - SHOWN} more places"
        yield from (f"NOT DONE {sentence}" for sentence in self.unfinished)


def show(outcome: Outcome, *, as_json: bool) -> None:
    """Print what came of it."""
    if as_json:
        print(json.dumps(outcome.as_json(), indent=1))
        return
    print()
    print_table(list(outcome.as_table()), left=1)
    print()
    for line in outcome.details():
        print(line)
    if not outcome.clean:
        print("This scrub proves nothing yet.")
    elif outcome.objects.orphans.spared:
        print("Nothing is left of what was erased an hour before it began; the next one takes the rest.")
    else:
        print("Nothing of it is left.")
