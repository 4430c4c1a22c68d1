"""Renditions, those of publications for good, what is to be drawn; how often public works are seen."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

KINDS = "kind IN ('poster', 'thumbnail')"


def _drawn(*more: sa.Column) -> list[sa.Column]:
    return [
        *more,
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "renditions",
        *_drawn(
            sa.Column("asset", sa.Uuid(), nullable=False),
            sa.Column("kind", sa.Text(), nullable=False),
            sa.Column("account", sa.Uuid(), nullable=False),
        ),
        sa.Column("object", sa.Uuid(), nullable=False),
        sa.CheckConstraint(KINDS, name="ck_renditions_kind"),
        sa.ForeignKeyConstraint(
            ["account"], ["subjects.account"], name="fk_renditions_subject", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["asset"], ["assets.id"], name="fk_renditions_asset", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("asset", "kind"),
    )
    op.create_index(op.f("ix_renditions_account"), "renditions", ["account"], unique=False)
    op.create_table(
        "publication_renditions",
        *_drawn(
            sa.Column("publication", sa.Uuid(), nullable=False),
            sa.Column("kind", sa.Text(), nullable=False),
        ),
        sa.CheckConstraint(KINDS, name="ck_publication_renditions_kind"),
        sa.ForeignKeyConstraint(
            ["publication"], ["publications.id"], name="fk_publication_renditions_publication"
        ),
        sa.PrimaryKeyConstraint("publication", "kind"),
    )
    op.execute(
        "CREATE TRIGGER publication_renditions_stay BEFORE UPDATE OR DELETE OR TRUNCATE "
        "ON publication_renditions FOR EACH STATEMENT EXECUTE FUNCTION publications_stay()"
    )
    op.execute("ALTER TABLE publication_renditions ENABLE ALWAYS TRIGGER publication_renditions_stay")
    op.create_table(
        "renderings",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("asset", sa.Uuid(), nullable=True),
        sa.Column("publication", sa.Uuid(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("num_nonnulls(asset, publication) = 1", name="ck_renderings_of_one"),
        sa.ForeignKeyConstraint(["asset"], ["assets.id"], name="fk_renderings_asset", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["publication"], ["publications.id"], name="fk_renderings_publication"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_renderings_asset"), "renderings", ["asset"], unique=False)
    op.create_index(
        "ix_renderings_due", "renderings", ["due"], unique=False, postgresql_where=sa.text("due IS NOT NULL")
    )
    op.add_column(
        "publication_counts",
        sa.Column("views", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )
