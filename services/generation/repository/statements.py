"""Every query of this service, compiled once."""

from __future__ import annotations

from sqlalchemy import ARRAY, Text, Uuid, and_, bindparam, delete, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from chassis.db import Record, Statement, scalar
from services.generation.domain import Attempt, Egress, Ending, Job, Row, Transition

_TABLES = Row.metadata.tables
JOBS, STEPS, ATTEMPTS = _TABLES["jobs"], _TABLES["transitions"], _TABLES["attempts"]
EGRESS, SUBJECTS, ENDINGS = _TABLES["egress"], _TABLES["subjects"], _TABLES["outcomes"]

# Constants in SQL, so that the partial indexes of these states are used.
UNDER_WAY = text("jobs.state IN ('SUBMITTING', 'ACCEPTED', 'RUNNING', 'UNKNOWN')")
WAITING = text("jobs.state = 'RESERVED'")
LOST = text("jobs.state = 'UNKNOWN'")
OPEN = text("attempts.state IN ('CLAIMED', 'SENT', 'ANSWERED')")

OWN = Statement(
    select(JOBS).where(JOBS.c.id == bindparam("generation"), JOBS.c.account == bindparam("owner")), Job
)
ANYBODYS = Statement(select(JOBS).where(JOBS.c.id == bindparam("generation")), Job)
# Whatever comes twice, what was said first stands.
KEEP_END: Statement[Record] = Statement(
    insert(ENDINGS)
    .values(id=bindparam("job"), charged_credits=bindparam("price"), day=bindparam("on"))
    .on_conflict_do_nothing()
)
ENDED = Statement(select(ENDINGS).where(ENDINGS.c.id == bindparam("generation")), Ending)
FORGET_ENDINGS: Statement[Record] = Statement(delete(ENDINGS).where(ENDINGS.c.day < bindparam("before")))
PAGE = Statement(
    select(JOBS)
    .where(
        JOBS.c.account == bindparam("owner"),
        JOBS.c.state == func.any(bindparam("states", type_=ARRAY(Text))),
        tuple_(JOBS.c.create_time, JOBS.c.id) < tuple_(bindparam("before"), bindparam("before_id")),
    )
    .order_by(JOBS.c.create_time.desc(), JOBS.c.id.desc())
    .limit(bindparam("most")),
    Job,
)
QUEUED = Statement(
    select(func.count()).select_from(JOBS).where(JOBS.c.account == bindparam("owner"), WAITING), scalar
)
SINCE = Statement(
    select(STEPS)
    .where(STEPS.c.generation == bindparam("job"), STEPS.c.seq > bindparam("after"))
    .order_by(STEPS.c.seq),
    Transition,
)
NUMBERS = Statement(
    select(JOBS.c.id, JOBS.c.seq).where(JOBS.c.id == func.any(bindparam("jobs", type_=ARRAY(Uuid)))),
    lambda row: (row["id"], row["seq"]),
)
EGRESS_PAGE = Statement(
    select(EGRESS)
    .where(
        EGRESS.c.account == bindparam("owner"),
        EGRESS.c.generation == bindparam("job"),
        tuple_(EGRESS.c.sent_time, EGRESS.c.id) > tuple_(bindparam("after"), bindparam("after_id")),
    )
    .order_by(EGRESS.c.sent_time, EGRESS.c.id)
    .limit(bindparam("most")),
    Egress,
)

# Claims follow one another: two that count a person's jobs at once would both find room for one more.
ONE_CLAIM_AT_A_TIME: Statement[Record] = Statement(select(func.pg_advisory_xact_lock(text("7307221"))))
_BUSY = select(JOBS.c.account, func.count().label("running")).where(UNDER_WAY).group_by(JOBS.c.account).cte()
_RUNNING = func.coalesce(_BUSY.c.running, 0)
# Who has least under way comes first, then who waits longest. An account that is being erased is
# passed over: its lock is taken, and it must not be waited for with a job's lock in hand.
NEXT_IN_TURN = Statement(
    select(JOBS)
    .join(SUBJECTS, SUBJECTS.c.account == JOBS.c.account)
    .outerjoin(_BUSY, _BUSY.c.account == JOBS.c.account)
    .where(WAITING, JOBS.c.not_before <= bindparam("now"), bindparam("share") > _RUNNING)
    .order_by(_RUNNING, JOBS.c.create_time)
    .limit(1)
    .with_for_update(of=[JOBS, SUBJECTS], skip_locked=True, key_share=True),
    Job,
)

# First the person, then the job: the order in which an erasure takes its locks, so that the two wait
# for each other one after the other and never in a circle.
_PERSON = (
    select(SUBJECTS.c.account)
    .where(SUBJECTS.c.account == bindparam("owner"))
    .with_for_update(read=True, key_share=True)
    .cte("person")
)
LOCKED = Statement(
    select(JOBS)
    .join(_PERSON, _PERSON.c.account == JOBS.c.account)
    .where(JOBS.c.id == bindparam("job"))
    .with_for_update(of=JOBS, key_share=True),
    Job,
)
NOT_ENDED = Statement(
    select(JOBS.c.id).where(
        JOBS.c.account == bindparam("owner"), text("jobs.state NOT IN ('SUCCEEDED', 'FAILED', 'CANCELLED')")
    ),
    scalar,
)
ATTEMPT = Statement(select(ATTEMPTS).where(ATTEMPTS.c.id == bindparam("attempt")), Attempt)
SENT = Statement(select(EGRESS).where(EGRESS.c.id == bindparam("attempt")), Egress)

# What changes in a job; what was ordered does not, and is not written again and again.
_CHANGING = (
    "state", "seq", "note", "outputs", "charged_credits", "failure_reason", "attempt", "attempts",
    "not_before", "deadline", "cancel_time", "end_time",
)  # fmt: skip
SAVE_JOB: Statement[Record] = Statement(
    update(JOBS)
    .where(JOBS.c.id == bindparam("job"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGING})
)


def changed(job: Job) -> dict[str, object]:
    """What `SAVE_JOB` writes."""
    return {f"new_{name}": getattr(job, name) for name in _CHANGING}


RENEW: Statement[Record] = Statement(
    update(ATTEMPTS)
    .where(ATTEMPTS.c.id == func.any(bindparam("attempts_in_hand", type_=ARRAY(Uuid))), OPEN)
    .values(claimed_until=bindparam("until"))
)
ABANDONED = Statement(
    select(JOBS.c.id, JOBS.c.account)
    .join(ATTEMPTS, and_(ATTEMPTS.c.generation == JOBS.c.id, ATTEMPTS.c.id == JOBS.c.attempt))
    .where(OPEN, UNDER_WAY, ATTEMPTS.c.claimed_until <= bindparam("now"))
    .limit(100),
    lambda row: (row["id"], row["account"]),
)
OVERDUE = Statement(
    select(JOBS.c.id, JOBS.c.account).where(LOST, JOBS.c.deadline <= bindparam("now")).limit(100),
    lambda row: (row["id"], row["account"]),
)

REMOVE_STEPS: Statement[Record] = Statement(delete(STEPS).where(STEPS.c.generation == bindparam("job")))
REMOVE_ATTEMPTS: Statement[Record] = Statement(
    delete(ATTEMPTS).where(ATTEMPTS.c.generation == bindparam("job"))
)
REMOVE_JOB: Statement[Record] = Statement(delete(JOBS).where(JOBS.c.id == bindparam("job")))
LINES_OF_EGRESS = Statement(
    select(func.count())
    .select_from(EGRESS)
    .where(EGRESS.c.account == bindparam("owner"), EGRESS.c.generation == bindparam("job")),
    scalar,
)
