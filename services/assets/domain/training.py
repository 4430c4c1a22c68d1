"""Who objected to training with their public Outputs, and for which works that holds."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import BigInteger, ForeignKeyConstraint

from promises.inventory import DELETE, plain, subject
from services.assets.domain.rows import OBJECTED, Row


class TrainingObjection(Row, table=True):
    """What a person decided last, as privacy announced it; no row stands for no objection.

    An objection that ended leaves its number here, so that an older event that is late changes nothing.
    """

    __tablename__ = "training_objections"

    account: UUID = subject(DELETE, primary_key=True)
    change: int = plain("the order of a person's changes", BigInteger)
    stands: bool = OBJECTED.column()


class Withdrawn(Row, table=True):
    """A work that must not train, because whose it was objected after it became public.

    It stands here and not on the publication, which stays as it is, and says nothing of the person: so
    it holds when the work is nobody's any more.
    """

    __tablename__ = "training_withdrawn"
    __table_args__ = (
        ForeignKeyConstraint(
            ["publication"], ["publications.id"], "fk_training_withdrawn_publication", ondelete="CASCADE"
        ),
    )

    publication: UUID = plain("chosen at random", primary_key=True)
