"""Life cycle, search and curation of the library

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import VECTOR
from sqlalchemy.dialects import postgresql

from guidealign.db.migrations import run_sql_file

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ROLES = """
do $$
begin
  if not exists (select from pg_roles where rolname = 'guidealign_reviewer') then
    create role guidealign_reviewer nologin;
  end if;
end $$
"""
_DROP_INDEXES = """
do $$
declare
  v int;
begin
  for v in select retriever_version from core.vector_indexes loop
    perform core.drop_nearest(v);
    execute format('drop index if exists core.ix_embeddings_hnsw_%s',
                   case when v < 0 then 'curation' else v::text end);
  end loop;
end $$
"""
_NOW = sa.text("now()")
_UNKEYED = (("guidelines", "category", "risk_categories"), ("embeddings", "guideline_id", "guidelines"))
"""Keys that a trigger checks instead: table, column, table that it refers to."""


def upgrade() -> None:
    op.execute("drop schema library cascade")
    op.execute("drop trigger guard_guideline on core.guidelines")
    op.execute("drop function core.guard_guideline()")
    _guidelines()
    _tables()
    op.execute(_ROLES)
    for file in ("0003_core.sql", "0003_views.sql", "0003_library.sql"):
        run_sql_file(file)


def _guidelines() -> None:
    text, double = sa.Text(), sa.Double()
    multirange = postgresql.INT4MULTIRANGE()
    for column in (
        sa.Column("language", text, server_default="en", nullable=False, comment="ISO 639-1 code"),
        sa.Column("source", text, comment="the file or system it was imported from"),
        sa.Column(
            "checked",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="has passed the quality filter",
        ),
        sa.Column("approved_by", text, comment="who let it in against the policy"),
        sa.Column(
            "merge_wording", double, comment="edit similarity with the canonical one, 0 to 1"
        ),
        sa.Column(
            "served",
            multirange,
            server_default="{}",
            nullable=False,
            comment="the library versions that hold it",
        ),
    ):
        op.add_column("guidelines", column, schema="core")
    op.execute("update core.guidelines set checked = origin in ('starter', 'model')")
    op.execute(
        "update core.guidelines set served = int4multirange(int4range(added_in, retired_in))"
        " where added_in is not null"
    )
    # What was merged or retired by an older release without a closing version.
    op.execute(
        "update core.guidelines set served = '{}' where state <> 'active' and upper_inf(served)"
    )
    for name in ("ck_guidelines_active_added", "ck_guidelines_origin"):
        op.drop_constraint(op.f(name), "guidelines", schema="core", type_="check")
    op.drop_index("ix_guidelines_words", "guidelines", schema="core")
    op.drop_index("ix_guidelines_merged_into", "guidelines", schema="core")
    op.execute(
        "insert into core.embeddings (retriever_version, guideline_id, embedding)"
        " select -1, id, curation_embedding from core.guidelines"
        " where curation_embedding is not null"
    )
    for column in ("words", "added_in", "retired_in", "curation_embedding"):
        op.drop_column("guidelines", column, schema="core")
    op.add_column(
        "guidelines",
        sa.Column(
            "words",
            postgresql.TSVECTOR(),
            comment="for full-text search; filled when it becomes active",
        ),
        schema="core",
    )
    op.execute(
        "update core.guidelines set words = to_tsvector('english', title || ' ' || text)"
        " where state = 'active'"
    )
    for name, rule in (
        ("origin", "origin in ('starter', 'model', 'human', 'import')"),
        ("merged_into_itself", "merged_into <> id"),
        ("active_served", "(state = 'active') = upper_inf(served)"),
        ("active_words", "state <> 'active' or words is not null"),
    ):
        op.create_check_constraint(
            op.f(f"ck_guidelines_{name}"), "guidelines", rule, schema="core"
        )
    op.create_index(
        "ix_guidelines_words",
        "guidelines",
        ["words"],
        schema="core",
        postgresql_using="gin",
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_index(
        "ix_guidelines_merged_into",
        "guidelines",
        ["merged_into"],
        schema="core",
        postgresql_where=sa.text("merged_into is not null"),
    )
    op.create_index(
        "ix_guidelines_source",
        "guidelines",
        ["source"],
        schema="core",
        postgresql_where=sa.text("source is not null"),
    )
    op.alter_column(
        "guidelines",
        "origin",
        schema="core",
        existing_type=text,
        existing_nullable=False,
        existing_comment="starter, model or human",
        comment="starter, model, human or import",
    )
    op.alter_column(
        "pairs",
        "origin",
        schema="core",
        existing_type=text,
        existing_nullable=False,
        existing_comment="starter, model or human",
        comment="starter, model, human or import",
    )
    for table, column, key in _UNKEYED:
        op.drop_constraint(op.f(f"fk_{table}_{column}_{key}"), table, schema="core")
    op.create_table_comment(
        "embeddings",
        "A guideline's vector under one retriever version (-1: the fixed encoder of curation).",
        schema="core",
        existing_comment="A guideline's vector under one retriever version: never mixed with"
        " another's.",
    )


def _tables() -> None:
    text, big, small, double = sa.Text(), sa.BigInteger(), sa.Integer(), sa.Double()
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "guideline_events",
        sa.Column("id", big, sa.Identity(always=True), nullable=False),
        sa.Column("guideline_id", big, nullable=False),
        sa.Column("from_state", text, nullable=False),
        sa.Column("to_state", text, nullable=False),
        sa.Column("reason", text),
        sa.Column("version", small, comment="the library version that this step went into"),
        sa.Column("witness_id", big, comment="for a merge: the guideline that says the same"),
        sa.Column("score", double, comment="cosine with the witness"),
        sa.Column("wording", double, comment="edit similarity with the witness"),
        sa.Column("actor", text, nullable=False),
        sa.Column("created_at", moment, server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guideline_events")),
        sa.ForeignKeyConstraint(
            ["guideline_id"],
            ["core.guidelines.id"],
            name=op.f("fk_guideline_events_guideline_id_guidelines"),
        ),
        sa.ForeignKeyConstraint(
            ["witness_id"],
            ["core.guidelines.id"],
            name=op.f("fk_guideline_events_witness_id_guidelines"),
        ),
        schema="core",
        comment="Every step of a guideline's life, written by the database itself: append-only.",
    )
    for column in ("guideline_id", "version"):
        op.create_index(
            op.f(f"ix_guideline_events_{column}"), "guideline_events", [column], schema="core"
        )
    _two_guidelines(
        "conflicts",
        [
            sa.Column("score", double, nullable=False, comment="cosine between the two"),
            sa.Column(
                "status",
                text,
                server_default="open",
                nullable=False,
                comment="open: never served together; dismissed: no conflict",
            ),
            sa.Column("reason", text, comment="of the person who decided"),
            sa.Column("decided_by", text),
            sa.Column("decided_at", moment),
            sa.CheckConstraint(
                "status in ('open', 'dismissed')", name=op.f("ck_conflicts_status")
            ),
        ],
        "Two guidelines of which one may demand what the other forbids.",
    )
    _two_guidelines(
        "kept_apart",
        [sa.Column("reason", text, nullable=False), sa.Column("actor", text, nullable=False)],
        "Two guidelines that a person has found not to say the same: never merged again.",
    )
    op.create_table(
        "vector_indexes",
        sa.Column("retriever_version", small, autoincrement=False, nullable=False),
        sa.Column("dimensions", small, nullable=False),
        sa.Column(
            "ef_search", small, nullable=False, comment="hnsw.ef_search that gave the recall"
        ),
        sa.Column(
            "recall", double, nullable=False, comment="of the nearest 6, against exact search"
        ),
        sa.Column("n_queries", small, nullable=False, comment="the recall was measured on"),
        sa.Column("n_vectors", big, nullable=False),
        sa.Column("built_at", moment, server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("retriever_version", name=op.f("pk_vector_indexes")),
        schema="core",
        comment="The search index of one retriever version: in use once its recall was measured.",
    )
    op.create_table(
        "imports",
        sa.Column("id", big, sa.Identity(always=True), nullable=False),
        sa.Column("file", text, nullable=False, comment="its name, without the folder"),
        sa.Column("digest", text, nullable=False, comment="SHA-256 of the file"),
        sa.Column("kind", text, nullable=False, comment="jsonl, parquet or dpr"),
        sa.Column("mode", text, nullable=False, comment="add or restore"),
        sa.Column("actor", text, nullable=False),
        sa.Column(
            "n_done",
            big,
            server_default="0",
            nullable=False,
            comment="records of the file that are stored: a run that was killed goes on there",
        ),
        sa.Column(
            "counts",
            postgresql.JSONB(),
            server_default="{}",
            nullable=False,
            comment="what came of the records",
        ),
        sa.Column(
            "own_retrievers",
            sa.ARRAY(big),
            server_default="{}",
            nullable=False,
            comment="retriever versions that had vectors here before: the file's are left out",
        ),
        sa.Column("started_at", moment, server_default=_NOW, nullable=False),
        sa.Column("finished_at", moment),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
        sa.CheckConstraint("mode in ('add', 'restore')", name=op.f("ck_imports_mode")),
        schema="core",
        comment="A file that was loaded into the library, and how far.",
    )
    op.create_index(op.f("ix_imports_digest"), "imports", ["digest"], schema="core")


def _two_guidelines(name: str, columns: list[sa.schema.SchemaItem], comment: str) -> None:
    """A table about a pair of guidelines, the lower id left."""
    op.create_table(
        name,
        sa.Column("left_id", sa.BigInteger(), nullable=False),
        sa.Column("right_id", sa.BigInteger(), nullable=False),
        *columns,
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False
        ),
        sa.PrimaryKeyConstraint("left_id", "right_id", name=op.f(f"pk_{name}")),
        sa.ForeignKeyConstraint(
            ["left_id"], ["core.guidelines.id"], name=op.f(f"fk_{name}_left_id_guidelines")
        ),
        sa.ForeignKeyConstraint(
            ["right_id"], ["core.guidelines.id"], name=op.f(f"fk_{name}_right_id_guidelines")
        ),
        sa.CheckConstraint("left_id < right_id", name=op.f(f"ck_{name}_ordered")),
        schema="core",
        comment=comment,
    )
    op.create_index(op.f(f"ix_{name}_right_id"), name, ["right_id"], schema="core")


def downgrade() -> None:
    """Back to one interval a guideline: of several, the last one is kept."""
    op.execute("drop schema library cascade")
    op.execute(_DROP_INDEXES)
    for trigger, table in (
        ("guard_insert", "guidelines"),
        ("guard_guideline", "guidelines"),
        ("record_events", "guidelines"),
        ("check_versions", "guidelines"),
        ("guard_categories", "guidelines"),
        ("guard_vectors", "embeddings"),
        ("guard_moved_vectors", "embeddings"),
        ("append_only", "risk_categories"),
    ):
        op.execute(f"drop trigger {trigger} on core.{table}")
    op.execute("drop trigger guard_version on core.library_versions")
    for table in ("imports", "vector_indexes", "kept_apart", "conflicts", "guideline_events"):
        op.drop_table(table, schema="core")
    for function in (
        "guard_insert()",
        "guard_categories()",
        "guard_vectors()",
        "guard_guideline()",
        "record_events()",
        "check_versions()",
        "guard_version()",
        "next_version()",
        "actor()",
        "publication_lock()",
        "add_version(text, text)",
        "library_digest(int)",
        "filter_sql(int, text[], text[], text[], text[], text[])",
        "make_nearest(int, int, int)",
        "drop_nearest(int)",
        "nearest_name(int)",
    ):
        op.execute(f"drop function core.{function}")
    op.execute("drop type core.hit")
    op.drop_index("ix_guidelines_words", "guidelines", schema="core")
    op.drop_index("ix_guidelines_merged_into", "guidelines", schema="core")
    for name in ("active_served", "active_words", "merged_into_itself", "origin"):
        op.drop_constraint(op.f(f"ck_guidelines_{name}"), "guidelines", schema="core", type_="check")
    version = sa.Integer()
    op.add_column(
        "guidelines",
        sa.Column("added_in", version, comment="library version that first served it"),
        schema="core",
    )
    op.add_column(
        "guidelines",
        sa.Column("retired_in", version, comment="library version that first left it out"),
        schema="core",
    )
    op.add_column(
        "guidelines",
        sa.Column("curation_embedding", VECTOR(384), comment="fixed encoder, for duplicates only"),
        schema="core",
    )
    op.execute(
        "update core.guidelines g set added_in = lower(r.last), retired_in = upper(r.last)"
        " from (select id, (array_agg(span order by lower(span) desc))[1] as last"
        "         from core.guidelines, unnest(served) as span group by id) r"
        " where r.id = g.id"
    )
    op.execute(
        "update core.guidelines g set curation_embedding = e.embedding from core.embeddings e"
        " where e.guideline_id = g.id and e.retriever_version = -1"
        " and vector_dims(e.embedding) = 384"
    )
    op.execute("delete from core.embeddings where retriever_version = -1")
    op.execute("update core.guidelines set origin = 'human' where origin = 'import'")
    for column in (
        "words", "served", "merge_wording", "approved_by", "checked", "source", "language"
    ):  # fmt: skip
        op.drop_column("guidelines", column, schema="core")
    op.add_column(
        "guidelines",
        sa.Column(
            "words",
            postgresql.TSVECTOR(),
            sa.Computed("to_tsvector('english', title || ' ' || text)", persisted=True),
            nullable=False,
        ),
        schema="core",
    )
    op.create_index(
        "ix_guidelines_words", "guidelines", ["words"], schema="core", postgresql_using="gin"
    )
    op.create_index("ix_guidelines_merged_into", "guidelines", ["merged_into"], schema="core")
    op.create_index("ix_guidelines_added_in", "guidelines", ["added_in"], schema="core")
    for column in ("added_in", "retired_in"):
        op.create_foreign_key(
            op.f(f"fk_guidelines_{column}_library_versions"),
            "guidelines",
            "library_versions",
            [column],
            ["version"],
            source_schema="core",
            referent_schema="core",
            deferrable=True,
            initially="DEFERRED",
        )
    for table, column, key in _UNKEYED:
        op.create_foreign_key(
            op.f(f"fk_{table}_{column}_{key}"),
            table,
            key,
            [column],
            ["name" if key == "risk_categories" else "id"],
            source_schema="core",
            referent_schema="core",
        )
    for name, rule in (
        ("origin", "origin in ('starter', 'model', 'human')"),
        ("active_added", "state <> 'active' or added_in is not null"),
    ):
        op.create_check_constraint(
            op.f(f"ck_guidelines_{name}"), "guidelines", rule, schema="core"
        )
    run_sql_file("0003_down.sql")
    run_sql_file("0002_library.sql")
