"""Who waits hears of what happens."""

from __future__ import annotations

from uuid import uuid4

from services.generation.repository import Changes


def test_all_who_watch_a_job_hear_that_it_changed_and_nobody_else() -> None:
    changes, job, other = Changes(), uuid4(), uuid4()
    with changes.of(job) as one, changes.of(job) as two, changes.of(other) as three:
        for event in (one, two, three):
            assert event.is_set(), "who comes late must look at once"
            event.clear()
        changes.ring(job)
        assert one.is_set()
        assert two.is_set()
        assert not three.is_set()


def test_nobody_is_remembered_who_went() -> None:
    changes, job = Changes(), uuid4()
    with changes.of(job), changes.of(job):
        assert changes.watched == [job]
    assert changes.watched == []
    changes.ring(job)
