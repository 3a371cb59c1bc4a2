"""The base tables of schema `core`: the shape of everything guidealign remembers.

People read the views of schema `library`; only the application touches these. Rows that
others refer to are never deleted, and the words of a guideline never change (triggers in
the migrations hold both).
"""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Computed,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import INT4MULTIRANGE, JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = "core"


class Base(DeclarativeBase):
    """Declarative base: schema `core`, predictable constraint names."""

    metadata = MetaData(
        schema=SCHEMA,
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        },
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own protocol
        int: BigInteger,
        str: Text,
        float: Double,
        bool: Boolean,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
        list[str]: ARRAY(Text),
        list[int]: ARRAY(BigInteger),
        list[float]: ARRAY(Double),
    }


def _id() -> Mapped[int]:
    return mapped_column(BigInteger, Identity(always=True), primary_key=True)


def _now() -> Mapped[datetime]:
    return mapped_column(server_default=func.now())


class RiskCategory(Base):
    """The 14 risk categories of the method and the everyday quality topics."""

    __tablename__ = "risk_categories"
    name: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(comment="scenario, attack or quality")
    description: Mapped[str]
    __table_args__ = (CheckConstraint("kind in ('scenario', 'attack', 'quality')", name="kind"),)


class IngestBatch(Base):
    """One reading of one source."""

    __tablename__ = "ingest_batches"
    id: Mapped[int] = _id()
    source: Mapped[str]
    kind: Mapped[str] = mapped_column(comment="jsonl, csv, parquet, sql, inbox, starter or model")
    uri: Mapped[str] = mapped_column(comment="where it was read; never holds a password")
    digest: Mapped[str | None] = mapped_column(comment="SHA-256 of the content, for files")
    watermark: Mapped[dict[str, Any] | None] = mapped_column(
        comment="where the next reading starts"
    )
    n_read: Mapped[int] = mapped_column(server_default="0")
    n_new: Mapped[int] = mapped_column(server_default="0")
    n_duplicate: Mapped[int] = mapped_column(server_default="0")
    n_near_duplicate: Mapped[int] = mapped_column(server_default="0")
    n_rejected: Mapped[int] = mapped_column(server_default="0")
    run_key: Mapped[str | None] = mapped_column(comment="the scheduler run that asked for it")
    started_at: Mapped[datetime] = _now()
    finished_at: Mapped[datetime | None]


class IngestWatermark(Base):
    """How far each source has been read."""

    __tablename__ = "ingest_watermarks"
    source: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime] = _now()


class Input(Base):
    """A user input, normalised; one row per distinct text."""

    __tablename__ = "inputs"
    id: Mapped[int] = _id()
    text_hash: Mapped[str] = mapped_column(unique=True, comment="SHA-256 of the folded text")
    text: Mapped[str] = mapped_column(comment="normalised text as it came: private")
    redacted_text: Mapped[str] = mapped_column(comment="personal data masked: what analysts see")
    source: Mapped[str]
    source_id: Mapped[str | None] = mapped_column(comment="the source's own id")
    batch_id: Mapped[int | None] = mapped_column(ForeignKey(IngestBatch.id))
    occurred_at: Mapped[datetime | None] = mapped_column(comment="when the source says it was said")
    received_at: Mapped[datetime] = _now()
    near_duplicate_of: Mapped[int | None] = mapped_column(ForeignKey("core.inputs.id"))
    near_duplicate_score: Mapped[float | None] = mapped_column(comment="Jaccard of 5-grams")
    known_category: Mapped[str | None] = mapped_column(
        ForeignKey(RiskCategory.name), comment="given by the source, not detected"
    )
    known_unsafe: Mapped[bool | None] = mapped_column(comment="given by the source, not detected")
    __table_args__ = (Index(None, "near_duplicate_of"), Index(None, "source", "source_id"))


class InputBand(Base):
    """MinHash bands of inputs: inputs that share one may be near copies."""

    __tablename__ = "input_bands"
    band: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    key: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    input_id: Mapped[int] = mapped_column(ForeignKey(Input.id), primary_key=True)


class Augmentation(Base):
    """How far one run has grown one category: a run that was killed goes on from here."""

    __tablename__ = "augmentations"
    batch_id: Mapped[int] = mapped_column(
        ForeignKey(IngestBatch.id), primary_key=True, comment="the run"
    )
    category: Mapped[str] = mapped_column(ForeignKey(RiskCategory.name), primary_key=True)
    model: Mapped[str] = mapped_column(comment="asked for new inputs")
    prompt_version: Mapped[str]
    n_wanted: Mapped[int]
    n_kept: Mapped[int] = mapped_column(server_default="0")
    n_answers: Mapped[int] = mapped_column(server_default="0", comment="of the model, used or not")
    n_requests: Mapped[int] = mapped_column(
        server_default="0", comment="sent for these answers, repeated ones included"
    )
    n_tokens: Mapped[int] = mapped_column(server_default="0", comment="read and written")
    cost_usd: Mapped[float] = mapped_column(server_default="0", comment="by the endpoint's prices")
    n_in_a_row: Mapped[int] = mapped_column(
        server_default="0", comment="rejected since one was kept"
    )
    rejected: Mapped[dict[str, Any]] = mapped_column(
        server_default="{}", comment="number by reason"
    )
    stopped: Mapped[str | None] = mapped_column(
        comment="why it ended: target, yield, budget, no_seeds or superseded; null: it has not"
    )
    updated_at: Mapped[datetime] = _now()
    __table_args__ = (
        CheckConstraint(
            "stopped in ('target', 'yield', 'budget', 'no_seeds', 'superseded')", name="stopped"
        ),
    )


class InputExample(Base):
    """What a model was shown when it made an input: the provenance of grown inputs."""

    __tablename__ = "input_examples"
    input_id: Mapped[int] = mapped_column(ForeignKey(Input.id), primary_key=True)
    example_id: Mapped[int] = mapped_column(ForeignKey(Input.id), primary_key=True)
    __table_args__ = (
        CheckConstraint("input_id <> example_id", name="itself"),
        Index(None, "example_id"),
    )


class Reject(Base):
    """What did not go on, and why: nothing is lost silently."""

    __tablename__ = "rejects"
    id: Mapped[int] = _id()
    stage: Mapped[str] = mapped_column(comment="ingest, detect, guidelines, filter, align ...")
    reason: Mapped[str] = mapped_column(comment="a stable code, such as broken_json")
    detail: Mapped[str] = mapped_column(comment="one sentence for a person, without user text")
    source: Mapped[str | None]
    file: Mapped[str | None]
    line: Mapped[int | None] = mapped_column(comment="1-based line or row of the file")
    batch_id: Mapped[int | None] = mapped_column(ForeignKey(IngestBatch.id))
    input_id: Mapped[int | None] = mapped_column(ForeignKey(Input.id))
    payload: Mapped[str | None] = mapped_column(comment="what was rejected, cut short: private")
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        Index(None, "stage", "reason"),
        Index(None, "input_id"),
        Index(
            "uq_rejects_place", "source", "file", "line", "reason", "batch_id", unique=True,
            postgresql_where=text("line is not null"),
        ),
    )  # fmt: skip


class Lease(Base):
    """Work that is claimed, done once, and comes back when a worker dies."""

    __tablename__ = "leases"
    task: Mapped[str] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    holder: Mapped[str | None]
    leased_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(
        Integer,
        server_default="0",
        comment="claims, but for those that ended for reasons of others",
    )
    last_error: Mapped[str | None]
    done_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None] = mapped_column(comment="given up; see rejects")
    enqueued_at: Mapped[datetime] = _now()
    heartbeat_at: Mapped[datetime | None] = mapped_column(
        comment="when its holder last said that it is at work"
    )
    not_before: Mapped[datetime | None] = mapped_column(
        comment="not claimed before: the wait after a failure"
    )
    reason: Mapped[str | None] = mapped_column(
        comment="of the last failure, a stable code such as invalid_answer"
    )
    failures: Mapped[int] = mapped_column(
        Integer, server_default="0", comment="attempts that failed through the item itself"
    )
    priority: Mapped[int] = mapped_column(
        SmallInteger,
        server_default="0",
        comment="higher is claimed first: how many inputs are on a topic without a good guideline",
    )
    __table_args__ = (
        Index(
            "ix_leases_open", "task", text("priority desc"), "item_id",
            postgresql_where=text("done_at is null and failed_at is null"),
        ),
    )  # fmt: skip


class ModelCall(Base):
    """Every call of a language model, also those that failed."""

    __tablename__ = "model_calls"
    id: Mapped[int] = _id()
    stage: Mapped[str]
    input_id: Mapped[int | None] = mapped_column(ForeignKey(Input.id))
    model: Mapped[str]
    prompt_version: Mapped[str]
    attempt: Mapped[int] = mapped_column(Integer, server_default="1")
    status: Mapped[str] = mapped_column(comment="ok, invalid (schema) or error")
    error: Mapped[str | None]
    prompt_tokens: Mapped[int] = mapped_column(server_default="0")
    completion_tokens: Mapped[int] = mapped_column(server_default="0")
    latency_ms: Mapped[float]
    cached_tokens: Mapped[int] = mapped_column(
        server_default="0", comment="of the prompt, taken from the server's prefix cache"
    )
    cost_usd: Mapped[float] = mapped_column(
        server_default="0", comment="at the prices of the settings; 0 where none are set"
    )
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        CheckConstraint("status in ('ok', 'invalid', 'error')", name="status"),
        Index(None, "input_id"),
        Index(None, "stage", "created_at"),
    )


class ModelAnswer(Base):
    """Answers of language models that were used: what was paid for once is not asked again."""

    __tablename__ = "model_answers"
    key: Mapped[str] = mapped_column(
        primary_key=True,
        comment="SHA-256 of model, prompt version, conversation without its nonce, and parameters",
    )
    model: Mapped[str] = mapped_column(comment="who answered")
    text: Mapped[str] = mapped_column(comment="as the model gave it: private")
    finish_reason: Mapped[str]
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    created_at: Mapped[datetime] = _now()


class AuthorRun(Base):
    """What each worker of an authoring run has spent, tries that were killed included."""

    __tablename__ = "author_runs"
    run_key: Mapped[str] = mapped_column(
        primary_key=True, comment="the scheduler run that asked for it"
    )
    worker: Mapped[int] = mapped_column(
        primary_key=True, autoincrement=False, comment="index within the run"
    )
    n_requests: Mapped[int] = mapped_column(
        server_default="0", comment="sent, repeated ones included"
    )
    n_failed: Mapped[int] = mapped_column(server_default="0", comment="sent and not answered")
    n_cached: Mapped[int] = mapped_column(
        server_default="0", comment="questions answered from model_answers"
    )
    prompt_tokens: Mapped[int] = mapped_column(server_default="0")
    cached_tokens: Mapped[int] = mapped_column(
        server_default="0", comment="of the prompts, taken from the server's prefix cache"
    )
    completion_tokens: Mapped[int] = mapped_column(server_default="0")
    cost_usd: Mapped[float] = mapped_column(server_default="0")
    started_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()


class Assessment(Base):
    """What the safety model found in an input."""

    __tablename__ = "assessments"
    id: Mapped[int] = _id()
    input_id: Mapped[int] = mapped_column(ForeignKey(Input.id))
    unsafe_content: Mapped[bool]
    may_trigger_unsafe: Mapped[bool]
    unsafe: Mapped[bool] = mapped_column(
        Computed("unsafe_content or may_trigger_unsafe", persisted=True)
    )
    categories: Mapped[list[str]]
    severity: Mapped[int] = mapped_column(SmallInteger, comment="0 none to 3 grave")
    rationale: Mapped[str] = mapped_column(comment="the model's words: private")
    model: Mapped[str]
    prompt_version: Mapped[str]
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        UniqueConstraint("input_id", "model", "prompt_version"),
        CheckConstraint("severity between 0 and 3", name="severity"),
    )


class LibraryVersion(Base):
    """A publication of the library: immutable."""

    __tablename__ = "library_versions"
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    digest: Mapped[str] = mapped_column(comment="SHA-256 over the active guidelines' hashes")
    n_active: Mapped[int]
    n_added: Mapped[int]
    n_retired: Mapped[int]
    note: Mapped[str]
    published_by: Mapped[str]
    published_at: Mapped[datetime] = _now()


_IS_ACTIVE = text("state = 'active'")
_IS_MERGED = text("merged_into is not null")
_HAS_SOURCE = text("source is not null")


class Guideline(Base):
    """A guideline: its words never change, its state moves along legal transitions."""

    __tablename__ = "guidelines"
    id: Mapped[int] = _id()
    text_hash: Mapped[str] = mapped_column(unique=True, comment="SHA-256 of folded title and text")
    title: Mapped[str]
    text: Mapped[str]
    category: Mapped[str]
    """A name in `risk_categories`: a trigger sees to it, which a bulk load feels less."""
    language: Mapped[str] = mapped_column(server_default="en", comment="ISO 639-1 code")
    origin: Mapped[str] = mapped_column(comment="starter, model, human or import")
    source: Mapped[str | None] = mapped_column(comment="the file or system it was imported from")
    author_model: Mapped[str | None]
    prompt_version: Mapped[str | None]
    checked: Mapped[bool] = mapped_column(
        server_default="false", comment="has passed the quality filter"
    )
    approved_by: Mapped[str | None] = mapped_column(comment="who let it in against the policy")
    state: Mapped[str] = mapped_column(server_default="candidate")
    state_reason: Mapped[str | None]
    merged_into: Mapped[int | None] = mapped_column(ForeignKey("core.guidelines.id"))
    merge_score: Mapped[float | None] = mapped_column(comment="cosine with the canonical one")
    merge_wording: Mapped[float | None] = mapped_column(
        comment="edit similarity with the canonical one, 0 to 1"
    )
    served: Mapped[Any] = mapped_column(
        INT4MULTIRANGE, server_default="{}", comment="the library versions that hold it"
    )
    created_at: Mapped[datetime] = _now()
    state_changed_at: Mapped[datetime] = _now()
    words: Mapped[Any | None] = mapped_column(
        TSVECTOR, comment="for full-text search; filled when it becomes active"
    )
    __table_args__ = (
        CheckConstraint(
            "state in ('candidate', 'active', 'retired', 'merged', 'quarantined')", name="state"
        ),
        CheckConstraint("origin in ('starter', 'model', 'human', 'import')", name="origin"),
        CheckConstraint("(state = 'merged') = (merged_into is not null)", name="merged_into"),
        CheckConstraint("merged_into <> id", name="merged_into_itself"),
        CheckConstraint("(state = 'active') = upper_inf(served)", name="active_served"),
        CheckConstraint("state <> 'active' or words is not null", name="active_words"),
        Index(None, "state", "category"),
        Index(
            "ix_guidelines_words", "words", postgresql_using="gin",
            postgresql_where=_IS_ACTIVE,
        ),
        Index(None, "merged_into", postgresql_where=_IS_MERGED),
        Index(None, "source", postgresql_where=_HAS_SOURCE),
    )  # fmt: skip


class GuidelineEvent(Base):
    """Every step of a guideline's life, written by the database itself: append-only."""

    __tablename__ = "guideline_events"
    id: Mapped[int] = _id()
    guideline_id: Mapped[int] = mapped_column(ForeignKey(Guideline.id))
    from_state: Mapped[str]
    to_state: Mapped[str]
    reason: Mapped[str | None]
    version: Mapped[int | None] = mapped_column(
        Integer, comment="the library version that this step went into"
    )
    witness_id: Mapped[int | None] = mapped_column(
        ForeignKey(Guideline.id), comment="for a merge: the guideline that says the same"
    )
    score: Mapped[float | None] = mapped_column(comment="cosine with the witness")
    wording: Mapped[float | None] = mapped_column(comment="edit similarity with the witness")
    actor: Mapped[str]
    created_at: Mapped[datetime] = _now()
    __table_args__ = (Index(None, "guideline_id"), Index(None, "version"))


class Conflict(Base):
    """Two guidelines of which one may demand what the other forbids."""

    __tablename__ = "conflicts"
    left_id: Mapped[int] = mapped_column(ForeignKey(Guideline.id), primary_key=True)
    right_id: Mapped[int] = mapped_column(ForeignKey(Guideline.id), primary_key=True)
    score: Mapped[float] = mapped_column(comment="cosine between the two")
    status: Mapped[str] = mapped_column(
        server_default="open", comment="open: never served together; dismissed: no conflict"
    )
    reason: Mapped[str | None] = mapped_column(comment="of the person who decided")
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        CheckConstraint("left_id < right_id", name="ordered"),
        CheckConstraint("status in ('open', 'dismissed')", name="status"),
        Index(None, "right_id"),
    )


class KeptApart(Base):
    """Two guidelines that a person has found not to say the same: never merged again."""

    __tablename__ = "kept_apart"
    left_id: Mapped[int] = mapped_column(ForeignKey(Guideline.id), primary_key=True)
    right_id: Mapped[int] = mapped_column(ForeignKey(Guideline.id), primary_key=True)
    reason: Mapped[str]
    actor: Mapped[str]
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        CheckConstraint("left_id < right_id", name="ordered"),
        Index(None, "right_id"),
    )


class Pair(Base):
    """An input and a guideline written for it: the provenance, and a training pair."""

    __tablename__ = "pairs"
    input_id: Mapped[int] = mapped_column(ForeignKey(Input.id), primary_key=True)
    guideline_id: Mapped[int] = mapped_column(ForeignKey(Guideline.id), primary_key=True)
    assessment_id: Mapped[int | None] = mapped_column(ForeignKey(Assessment.id))
    origin: Mapped[str] = mapped_column(comment="starter, model, human or import")
    created_at: Mapped[datetime] = _now()
    __table_args__ = (Index(None, "guideline_id"),)


class Embedding(Base):
    """A guideline's vector under one retriever version (-1: the fixed encoder of curation)."""

    __tablename__ = "embeddings"
    retriever_version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    guideline_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """An id in `guidelines`: a trigger sees to it, which a bulk load feels less."""
    embedding: Mapped[Any] = mapped_column(VECTOR(), comment="L2-normalised")
    created_at: Mapped[datetime] = _now()


class VectorIndex(Base):
    """The search index of one retriever version: in use once its recall was measured."""

    __tablename__ = "vector_indexes"
    retriever_version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    dimensions: Mapped[int] = mapped_column(Integer)
    ef_search: Mapped[int] = mapped_column(Integer, comment="hnsw.ef_search that gave the recall")
    recall: Mapped[float] = mapped_column(comment="of the nearest 6, against exact search")
    n_queries: Mapped[int] = mapped_column(Integer, comment="the recall was measured on")
    n_vectors: Mapped[int]
    built_at: Mapped[datetime] = _now()


class ImportRow(Base):
    """A file that was loaded into the library, and how far."""

    __tablename__ = "imports"
    id: Mapped[int] = _id()
    file: Mapped[str] = mapped_column(comment="its name, without the folder")
    digest: Mapped[str] = mapped_column(index=True, comment="SHA-256 of the file")
    kind: Mapped[str] = mapped_column(comment="jsonl, parquet or dpr")
    mode: Mapped[str] = mapped_column(comment="add or restore")
    actor: Mapped[str]
    n_done: Mapped[int] = mapped_column(
        server_default="0",
        comment="records of the file that are stored: a run that was killed goes on there",
    )
    counts: Mapped[dict[str, Any]] = mapped_column(
        server_default="{}", comment="what came of the records"
    )
    own_retrievers: Mapped[list[int]] = mapped_column(
        server_default="{}",
        comment="retriever versions that had vectors here before: the file's are left out",
    )
    started_at: Mapped[datetime] = _now()
    finished_at: Mapped[datetime | None]
    __table_args__ = (CheckConstraint("mode in ('add', 'restore')", name="mode"),)


class BenchmarkResult(Base):
    """One model version's score on one case."""

    __tablename__ = "benchmark_results"
    id: Mapped[int] = _id()
    model_name: Mapped[str]
    version: Mapped[int] = mapped_column(Integer)
    benchmark: Mapped[str]
    evaluator: Mapped[str] = mapped_column(comment="fingerprint of judge, prompts and cases")
    metric: Mapped[str]
    case_id: Mapped[str]
    category: Mapped[str]
    kind: Mapped[str]
    cluster: Mapped[str]
    value: Mapped[float | None] = mapped_column(comment="null: unscored, see reason")
    reason: Mapped[str | None]
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        UniqueConstraint(
            "model_name", "version", "benchmark", "evaluator", "metric", "case_id",
            name="uq_benchmark_results_case",
        ),
        CheckConstraint("(value is null) = (reason is not null)", name="unscored"),
        CheckConstraint("value <> 'NaN' and abs(value) <> 'Infinity'", name="finite"),
    )  # fmt: skip


class BenchmarkAnswers(Base):
    """A model that was asked the cases of a benchmark in one way."""

    __tablename__ = "evaluation_runs"
    id: Mapped[int] = _id()
    model_name: Mapped[str] = mapped_column(
        comment="registered model, or the endpoint's; with guidelines, the release is named too"
    )
    version: Mapped[int] = mapped_column(Integer, comment="of a registered model; 0: none")
    release_id: Mapped[int | None] = mapped_column(
        ForeignKey("core.releases.id"),
        comment="whose guidelines stood in front of the prompts; null: none",
    )
    benchmark: Mapped[str]
    source: Mapped[str] = mapped_column(
        comment="file, folder or hub id with commit that the cases were read from"
    )
    source_sha256: Mapped[str] = mapped_column(comment="of that copy")
    cases_digest: Mapped[str] = mapped_column(comment="SHA-256 of the cases that were asked")
    n_cases: Mapped[int] = mapped_column(Integer)
    asked: Mapped[str] = mapped_column(comment="fingerprint of how: temperature, length, precision")
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        UniqueConstraint(
            "model_name", "version", "benchmark", "cases_digest", "asked",
            name="uq_evaluation_runs_question",
        ),
        CheckConstraint("n_cases > 0", name="cases"),
    )  # fmt: skip


class BenchmarkAnswer(Base):
    """What a model answered to one case."""

    __tablename__ = "evaluation_answers"
    run_id: Mapped[int] = mapped_column(ForeignKey("core.evaluation_runs.id"), primary_key=True)
    case_id: Mapped[str] = mapped_column(primary_key=True)
    category: Mapped[str]
    kind: Mapped[str]
    cluster: Mapped[str]
    turns: Mapped[list[str]] = mapped_column(comment="what the user said, turn by turn")
    answers: Mapped[list[str] | None] = mapped_column(
        comment="one a turn; null: refused by the server, see reason"
    )
    reason: Mapped[str | None]
    finish_reason: Mapped[str | None] = mapped_column(
        comment="of the last answer: length where it was cut"
    )
    guideline_ids: Mapped[list[int]] = mapped_column(comment="that stood in front, in their order")
    model: Mapped[str | None] = mapped_column(comment="as the endpoint names it")
    prompt_tokens: Mapped[int] = mapped_column(Integer)
    completion_tokens: Mapped[int] = mapped_column(Integer)
    latency_ms: Mapped[float] = mapped_column(comment="of all turns, one after the other")
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        CheckConstraint("(answers is null) = (reason is not null)", name="unanswered"),
    )


class GateDecision(Base):
    """A gate's verdict with everything it was made from."""

    __tablename__ = "gate_decisions"
    id: Mapped[int] = _id()
    model_name: Mapped[str]
    challenger_version: Mapped[int] = mapped_column(Integer)
    champion_version: Mapped[int] = mapped_column(Integer)
    verdict: Mapped[str]
    reason: Mapped[str]
    policy: Mapped[dict[str, Any]]
    evidence: Mapped[list[Any]] = mapped_column(
        comment="per check: n, planned, unscored, both means, difference, interval, power"
    )
    evaluator: Mapped[str]
    input_digest: Mapped[str] = mapped_column(comment="of policy and all case scores")
    mlflow_run_id: Mapped[str | None]
    runs: Mapped[list[Any]] = mapped_column(
        server_default=text("'[]'"),
        comment="the runs compared: side, version, benchmark, metric, evaluator, judge, n,"
        " n_unscored; with model_name the key of their benchmark_results; empty before"
        " revision 0010",
    )
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        CheckConstraint("verdict in ('promote', 'hold', 'inconclusive', 'reject')", name="verdict"),
        UniqueConstraint("model_name", "challenger_version", "champion_version", "input_digest"),
    )


class ReleaseRow(Base):
    """What was served, as one id: append-only; the newest row is live."""

    __tablename__ = "releases"
    id: Mapped[int] = _id()
    library_version: Mapped[int] = mapped_column(ForeignKey(LibraryVersion.version))
    retriever_version: Mapped[int] = mapped_column(Integer)
    labrador_version: Mapped[int] = mapped_column(Integer)
    prompt_version: Mapped[str]
    settings: Mapped[dict[str, Any]]
    actor: Mapped[str]
    reason: Mapped[str]
    created_at: Mapped[datetime] = _now()


class Promotion(Base):
    """Every move of a champion, and every decision not to move it."""

    __tablename__ = "promotions"
    id: Mapped[int] = _id()
    model_name: Mapped[str]
    action: Mapped[str]
    from_version: Mapped[int] = mapped_column(Integer)
    to_version: Mapped[int] = mapped_column(Integer)
    gate_decision_id: Mapped[int | None] = mapped_column(ForeignKey(GateDecision.id))
    release_id: Mapped[int | None] = mapped_column(ForeignKey(ReleaseRow.id))
    actor: Mapped[str]
    reason: Mapped[str]
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        CheckConstraint("action in ('promote', 'hold', 'rollback', 'refuse')", name="action"),
        Index(None, "model_name", "created_at"),
    )


class SwitchRow(Base):
    """What a switch is about to do, written before it moves the registry's aliases."""

    __tablename__ = "switches"
    id: Mapped[int] = _id()
    model_name: Mapped[str]
    action: Mapped[str]
    from_version: Mapped[int] = mapped_column(
        Integer, comment="the champion before; 0: the untrained base"
    )
    to_version: Mapped[int] = mapped_column(Integer, comment="the champion after")
    previous_version: Mapped[int | None] = mapped_column(
        Integer, comment="where the alias previous stood; null: there was none"
    )
    challenger_version: Mapped[int | None] = mapped_column(
        Integer, comment="where the alias challenger stood; null: there was none"
    )
    gate_decision_id: Mapped[int | None] = mapped_column(ForeignKey(GateDecision.id))
    actor: Mapped[str]
    reason: Mapped[str]
    begun_at: Mapped[datetime] = _now()
    ended_at: Mapped[datetime | None] = mapped_column(
        comment="null: it runs, or its process died in its middle"
    )
    outcome: Mapped[str | None] = mapped_column(
        comment="done: promotions has its row; undone: the aliases were put back"
    )
    __table_args__ = (
        CheckConstraint("action in ('promote', 'rollback')", name="action"),
        CheckConstraint("outcome in ('done', 'undone')", name="outcome"),
        CheckConstraint("(ended_at is null) = (outcome is null)", name="ended"),
        Index(
            "uq_switches_open",
            "model_name",
            unique=True,
            postgresql_where=text("ended_at is null"),
        ),
    )


class Retrieval(Base):
    """A guideline found for an input, kept or left out."""

    __tablename__ = "retrievals"
    id: Mapped[int] = _id()
    request_id: Mapped[str] = mapped_column(comment="one id per retrieval request")
    input_id: Mapped[int | None] = mapped_column(ForeignKey(Input.id))
    guideline_id: Mapped[int] = mapped_column(ForeignKey(Guideline.id))
    rank: Mapped[int] = mapped_column(Integer, comment="1 is nearest")
    score: Mapped[float] = mapped_column(comment="cosine similarity")
    kept: Mapped[bool] = mapped_column(comment="among the k put in front of the model")
    library_version: Mapped[int] = mapped_column(Integer)
    retriever_version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        UniqueConstraint("request_id", "guideline_id"),
        Index(None, "guideline_id"),
        Index(None, "input_id"),
    )


class AlignedResponse(Base):
    """A guided answer."""

    __tablename__ = "aligned_responses"
    id: Mapped[int] = _id()
    input_id: Mapped[int] = mapped_column(ForeignKey(Input.id))
    response: Mapped[str]
    guideline_ids: Mapped[list[int]]
    model: Mapped[str]
    prompt_version: Mapped[str]
    library_version: Mapped[int] = mapped_column(Integer)
    retriever_version: Mapped[int] = mapped_column(Integer)
    finish_reason: Mapped[str]
    filtered_reason: Mapped[str | None] = mapped_column(comment="why it is in no data set")
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    latency_ms: Mapped[float]
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        UniqueConstraint(
            "input_id", "model", "prompt_version", "library_version", "retriever_version",
            name="uq_aligned_responses_key",
        ),
    )  # fmt: skip


class AlignedDataset(Base):
    """A set of guided answers with a digest: what Labrador learns from."""

    __tablename__ = "aligned_datasets"
    id: Mapped[int] = _id()
    digest: Mapped[str] = mapped_column(unique=True)
    n: Mapped[int]
    model: Mapped[str]
    prompt_version: Mapped[str]
    library_version: Mapped[int] = mapped_column(ForeignKey(LibraryVersion.version))
    retriever_version: Mapped[int] = mapped_column(Integer)
    mlflow_run_id: Mapped[str | None]
    created_at: Mapped[datetime] = _now()


class AlignedDatasetItem(Base):
    """Which answers a data set holds, in order."""

    __tablename__ = "aligned_dataset_items"
    dataset_id: Mapped[int] = mapped_column(ForeignKey(AlignedDataset.id), primary_key=True)
    response_id: Mapped[int] = mapped_column(ForeignKey(AlignedResponse.id), primary_key=True)
    position: Mapped[int] = mapped_column(Integer)


class PlainResponse(Base):
    """An answer without guidelines, to compare a guided one with."""

    __tablename__ = "plain_responses"
    id: Mapped[int] = _id()
    input_id: Mapped[int] = mapped_column(ForeignKey(Input.id))
    response: Mapped[str]
    model: Mapped[str]
    prompt_version: Mapped[str]
    finish_reason: Mapped[str]
    filtered_reason: Mapped[str | None] = mapped_column(comment="why it is compared with nothing")
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    latency_ms: Mapped[float]
    created_at: Mapped[datetime] = _now()
    __table_args__ = (UniqueConstraint("input_id", "model", "prompt_version"),)


class PreferenceJudgement(Base):
    """What a rule found of a guided and an unguided answer to one input."""

    __tablename__ = "preference_judgements"
    id: Mapped[int] = _id()
    guided_id: Mapped[int] = mapped_column(ForeignKey(AlignedResponse.id))
    plain_id: Mapped[int] = mapped_column(ForeignKey(PlainResponse.id))
    judge: Mapped[str] = mapped_column(comment="the rule, its model, prompt and margin")
    guided_risk: Mapped[float | None] = mapped_column(
        comment="likelihood of harm, 0 to 1; null: not asked"
    )
    plain_risk: Mapped[float | None] = mapped_column(
        comment="likelihood of harm, 0 to 1; null: not asked"
    )
    verdict: Mapped[str] = mapped_column(comment="guided_better, or why the pair is dropped")
    created_at: Mapped[datetime] = _now()
    __table_args__ = (UniqueConstraint("guided_id", "plain_id", "judge"),)


class PreferenceSet(Base):
    """Pairs of answers with a digest: what Labrador learns preferences from."""

    __tablename__ = "preference_sets"
    id: Mapped[int] = _id()
    digest: Mapped[str]
    dataset_id: Mapped[int] = mapped_column(ForeignKey(AlignedDataset.id))
    judge: Mapped[str]
    n: Mapped[int]
    dropped: Mapped[dict[str, Any]] = mapped_column(comment="pairs left out, by reason")
    mlflow_run_id: Mapped[str | None]
    created_at: Mapped[datetime] = _now()
    __table_args__ = (UniqueConstraint("dataset_id", "digest"),)


class PreferenceSetItem(Base):
    """Which pairs a set holds, in order."""

    __tablename__ = "preference_set_items"
    set_id: Mapped[int] = mapped_column(ForeignKey(PreferenceSet.id), primary_key=True)
    judgement_id: Mapped[int] = mapped_column(ForeignKey(PreferenceJudgement.id), primary_key=True)
    position: Mapped[int] = mapped_column(Integer)


class ModelLineage(Base):
    """What each registered model version was made from."""

    __tablename__ = "model_lineage"
    model_name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    base_model: Mapped[str]
    library_version: Mapped[int] = mapped_column(ForeignKey(LibraryVersion.version))
    library_digest: Mapped[str]
    dataset_id: Mapped[int | None] = mapped_column(ForeignKey(AlignedDataset.id))
    data_digest: Mapped[str] = mapped_column(comment="of the pairs or the aligned data set")
    retriever_version: Mapped[int | None] = mapped_column(Integer)
    settings: Mapped[dict[str, Any]]
    metrics: Mapped[dict[str, Any]]
    mlflow_run_id: Mapped[str | None]
    created_at: Mapped[datetime] = _now()


class DriftReport(Base):
    """What the retriever finds for the inputs of a week, against the held-out ones."""

    __tablename__ = "drift_reports"
    id: Mapped[int] = _id()
    since: Mapped[date]
    until: Mapped[date] = mapped_column(comment="exclusive")
    retriever_version: Mapped[int] = mapped_column(Integer)
    library_version: Mapped[int] = mapped_column(ForeignKey(LibraryVersion.version))
    n_inputs: Mapped[int]
    n_measured: Mapped[int] = mapped_column(comment="a sample of the inputs, or all")
    low_score: Mapped[float | None] = mapped_column(
        comment="tenth percentile of the best guideline's cosine"
    )
    median_score: Mapped[float | None]
    high_score: Mapped[float | None]
    good_score: Mapped[float | None] = mapped_column(
        comment="what the best guideline reaches for nine of ten held-out inputs; null: too few of"
        " them"
    )
    share_poor: Mapped[float | None] = mapped_column(
        comment="inputs whose best guideline is below that"
    )
    share_abstained: Mapped[float | None] = mapped_column(
        comment="inputs below the threshold for unsafe-topic guidelines; null: not calibrated"
    )
    distance: Mapped[float | None] = mapped_column(
        comment="Kolmogorov-Smirnov, of the best scores of these and of the held-out inputs"
    )
    p_value: Mapped[float | None]
    measured_at: Mapped[datetime] = _now()
    __table_args__ = (
        UniqueConstraint(
            "until", "retriever_version", "library_version", name="uq_drift_reports_until"
        ),
        CheckConstraint("since < until", name="dates"),
    )


class DriftCluster(Base):
    """Inputs of a week on one topic for which no guideline is near."""

    __tablename__ = "drift_clusters"
    report_id: Mapped[int] = mapped_column(
        ForeignKey(DriftReport.id, ondelete="CASCADE"), primary_key=True
    )
    example_id: Mapped[int] = mapped_column(
        ForeignKey(Input.id), primary_key=True, comment="the input that is nearest to all others"
    )
    input_ids: Mapped[list[int]]
    guideline_id: Mapped[int] = mapped_column(
        ForeignKey(Guideline.id), comment="the nearest to it there is"
    )
    score: Mapped[float] = mapped_column(comment="its cosine")
    is_new: Mapped[bool] = mapped_column(comment="no earlier report has one like it")


class GatewayKey(Base):
    """An API key of the gateway: what it may do, and how its requests are treated."""

    __tablename__ = "gateway_keys"
    id: Mapped[int] = _id()
    name: Mapped[str] = mapped_column(comment="for people; one live key has it")
    secret_hash: Mapped[bytes] = mapped_column(comment="SHA-256 of the secret, which nobody keeps")
    previous_hash: Mapped[bytes | None] = mapped_column(comment="of the secret before a rotation")
    previous_until: Mapped[datetime | None] = mapped_column(
        comment="until when the secret before works as well"
    )
    scopes: Mapped[list[str]]
    mode: Mapped[str] = mapped_column(server_default="inject")
    retriever_failure: Mapped[str] = mapped_column(server_default="open")
    log: Mapped[str] = mapped_column(server_default="off")
    log_share: Mapped[float] = mapped_column(server_default="0")
    withhold_share: Mapped[float] = mapped_column(server_default="0")
    canary_share: Mapped[float] = mapped_column(server_default="0")
    requests_per_minute: Mapped[int | None]
    tokens_per_minute: Mapped[int | None]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        CheckConstraint("octet_length(secret_hash) = 32", name="secret_hash"),
        CheckConstraint("(previous_hash is null) = (previous_until is null)", name="previous"),
        CheckConstraint(
            "cardinality(scopes) > 0 and scopes <@"
            " '{chat,embeddings,retrieve,override,feedback,ops}'::text[]",
            name="scopes",
        ),
        CheckConstraint("mode in ('inject', 'monitor', 'off')", name="mode"),
        CheckConstraint("retriever_failure in ('open', 'closed')", name="retriever_failure"),
        CheckConstraint("log in ('off', 'sampled', 'all')", name="log"),
        CheckConstraint(
            "log_share between 0 and 1 and withhold_share between 0 and 1"
            " and canary_share between 0 and 1",
            name="shares",
        ),
        CheckConstraint(
            "requests_per_minute between 1 and 100000000"
            " and tokens_per_minute between 1 and 100000000",
            name="limits",
        ),
        Index(
            "uq_gateway_keys_live_name", "name", unique=True,
            postgresql_where=text("revoked_at is null"),
        ),
    )  # fmt: skip


class KeyEvent(Base):
    """Every change of a key, written by the database itself: append-only."""

    __tablename__ = "key_events"
    id: Mapped[int] = _id()
    key_id: Mapped[int] = mapped_column(ForeignKey(GatewayKey.id))
    event: Mapped[str]
    changes: Mapped[dict[str, Any]] = mapped_column(
        comment="by field: what it was and what it is; never a secret"
    )
    actor: Mapped[str]
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        CheckConstraint("event in ('created', 'changed', 'rotated', 'revoked')", name="event"),
        Index(None, "key_id"),
    )


class CanaryRow(Base):
    """A candidate release that the gateway tries on some conversations: the newest row counts."""

    __tablename__ = "canaries"
    id: Mapped[int] = _id()
    library_version: Mapped[int | None] = mapped_column(
        ForeignKey(LibraryVersion.version), comment="null: from here on there is no candidate"
    )
    retriever_version: Mapped[int | None] = mapped_column(Integer)
    release_id: Mapped[int | None] = mapped_column(
        ForeignKey(ReleaseRow.id), comment="what was live then"
    )
    actor: Mapped[str]
    reason: Mapped[str]
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        CheckConstraint("(library_version is null) = (retriever_version is null)", name="parts"),
    )


class ReplayRow(Base):
    """A candidate release run over recorded requests beside the live one: append-only."""

    __tablename__ = "replays"
    id: Mapped[int] = _id()
    release_id: Mapped[int] = mapped_column(
        ForeignKey(ReleaseRow.id), comment="what the candidate was compared with"
    )
    library_version: Mapped[int] = mapped_column(ForeignKey(LibraryVersion.version))
    retriever_version: Mapped[int] = mapped_column(Integer)
    source: Mapped[str] = mapped_column(comment="inbox, or the file of the requests")
    n_requests: Mapped[int]
    n_changed: Mapped[int] = mapped_column(comment="requests that would get other guidelines")
    n_abstained_live: Mapped[int]
    n_abstained_candidate: Mapped[int]
    tokens_live: Mapped[int] = mapped_column(
        comment="of the guidelines of all requests, by estimate"
    )
    tokens_candidate: Mapped[int]
    report: Mapped[dict[str, Any]] = mapped_column(comment="all figures; no text of requests")
    actor: Mapped[str]
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        CheckConstraint(
            "n_changed <= n_requests and n_abstained_live <= n_requests"
            " and n_abstained_candidate <= n_requests",
            name="counts",
        ),
    )


class GatewayRequestRow(Base):
    """A request that the gateway answered or refused: ids and figures, no text."""

    __tablename__ = "gateway_requests"
    response_id: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[int] = mapped_column(ForeignKey(GatewayKey.id))
    occurred_at: Mapped[datetime]
    endpoint: Mapped[str]
    status: Mapped[int] = mapped_column(Integer)
    mode: Mapped[str]
    guidance: Mapped[str]
    model: Mapped[str | None]
    upstream: Mapped[str | None]
    upstream_status: Mapped[int | None] = mapped_column(Integer)
    release_id: Mapped[int | None] = mapped_column(
        ForeignKey(ReleaseRow.id),
        comment="what was live; of a canary: what the candidate answered in place of",
    )
    canary: Mapped[bool]
    canary_id: Mapped[int | None] = mapped_column(ForeignKey(CanaryRow.id))
    guideline_ids: Mapped[list[int]]
    scores: Mapped[list[float]]
    groups: Mapped[list[str]] = mapped_column(comment="the category of each guideline")
    withheld_ids: Mapped[list[int]]
    withheld_groups: Mapped[list[str]]
    withhold_share: Mapped[float | None] = mapped_column(
        comment="probability with which each group was withheld; null: nothing was drawn"
    )
    conversation_hash: Mapped[str | None] = mapped_column(comment="SHA-256, cut to 128 bits")
    prompt_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    retrieval_ms: Mapped[float | None]
    upstream_ms: Mapped[float | None]
    first_token_ms: Mapped[float | None]
    total_ms: Mapped[float | None]
    logged_at: Mapped[datetime] = _now()
    refused: Mapped[bool | None] = mapped_column(
        comment="whether the answer declines in its first words; null: there was none, or it was"
        " not looked at"
    )
    __table_args__ = (
        CheckConstraint(
            "guidance in ('injected', 'abstained', 'monitored', 'off', 'unguided')",
            name="guidance",
        ),
        CheckConstraint("canary or canary_id is null", name="canary"),
        CheckConstraint(
            "cardinality(guideline_ids) = cardinality(scores)"
            " and cardinality(guideline_ids) = cardinality(groups)",
            name="guidelines",
        ),
        CheckConstraint(
            "withheld_groups <@ groups and withheld_ids <@ guideline_ids", name="withheld"
        ),
        Index(None, "occurred_at"),
        Index(
            "ix_gateway_requests_drawn", "key_id",
            postgresql_where=text("withhold_share is not null"),
        ),
    )  # fmt: skip


class InboxRow(Base):
    """What users said to the gateway, masked, until ingest has read it and its time is over."""

    __tablename__ = "inbox"
    id: Mapped[int] = mapped_column(
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="grows in the order in which rows become visible: ingest goes by it",
    )
    response_id: Mapped[str] = mapped_column(unique=True)
    key_id: Mapped[int] = mapped_column(ForeignKey(GatewayKey.id))
    text: Mapped[str] = mapped_column(comment="the last user turn, personal data masked")
    context: Mapped[str | None] = mapped_column(
        comment="earlier turns that the retriever was given, masked"
    )
    occurred_at: Mapped[datetime]
    logged_at: Mapped[datetime] = _now()


class FeedbackRow(Base):
    """What somebody thought of an answer: append-only, the newest of its kind counts."""

    __tablename__ = "feedback"
    id: Mapped[int] = _id()
    response_id: Mapped[str] = mapped_column(ForeignKey(GatewayRequestRow.response_id))
    key_id: Mapped[int] = mapped_column(ForeignKey(GatewayKey.id))
    source: Mapped[str] = mapped_column(
        server_default="user", comment="user, or the name of a judge"
    )
    measure: Mapped[str] = mapped_column(
        server_default="thumbs", comment="thumbs, or the name of a score"
    )
    value: Mapped[float] = mapped_column(comment="0 worst to 1 best; thumbs are 0 or 1")
    reason: Mapped[str | None] = mapped_column(comment="in words, personal data masked")
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        CheckConstraint(
            "value between 0 and 1 and (measure <> 'thumbs' or value in (0, 1))", name="value"
        ),
        Index(None, "response_id"),
    )


class GatewayAccount(Base):
    """What each server process was given to record, and what became of it."""

    __tablename__ = "gateway_accounts"
    process: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(
        comment="of the last batch that was stored: a batch sent twice is stored once"
    )
    n_accepted: Mapped[int]
    n_stored: Mapped[int]
    n_dropped: Mapped[int]
    dropped: Mapped[dict[str, Any]] = mapped_column(comment="number by reason")
    closed: Mapped[bool] = mapped_column(
        server_default="false", comment="the process ended in order, with nothing left in memory"
    )
    started_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()
    __table_args__ = (
        CheckConstraint("kind in ('request', 'input')", name="kind"),
        CheckConstraint("n_accepted = n_stored + n_dropped", name="balance"),
    )


class GatewayRetrievalCount(Base):
    """How often the gateway found each guideline; the database counts as requests are stored."""

    __tablename__ = "gateway_retrieval_counts"
    guideline_id: Mapped[int] = mapped_column(ForeignKey(Guideline.id), primary_key=True)
    n_found: Mapped[int] = mapped_column(
        comment="requests that it was found for, within k and the budget"
    )
    n_kept: Mapped[int] = mapped_column(comment="of them, those whose model was given it")
    last_kept_at: Mapped[datetime | None]
    __table_args__ = (CheckConstraint("n_kept between 0 and n_found", name="counts"),)


class WatchLook(Base):
    """Live answers after a promotion against those before it: append-only."""

    __tablename__ = "watch_looks"
    id: Mapped[int] = _id()
    promotion_id: Mapped[int] = mapped_column(ForeignKey(Promotion.id))
    measure: Mapped[str]
    look: Mapped[int] = mapped_column(
        Integer, comment="1 is the first; each spends a part of the level"
    )
    n_before: Mapped[int] = mapped_column(comment="conversations under the version before")
    k_before: Mapped[int] = mapped_column(comment="of them those with the mark")
    n_since: Mapped[int]
    k_since: Mapped[int]
    least_increase: Mapped[float] = mapped_column(
        comment="lower bound of the increase of the share"
    )
    allowed: Mapped[float] = mapped_column(comment="by how much the share may rise")
    is_breach: Mapped[bool] = mapped_column(comment="the lower bound is above that")
    looked_at: Mapped[datetime] = _now()
    __table_args__ = (
        UniqueConstraint("promotion_id", "measure", "look", name="uq_watch_looks_look"),
        CheckConstraint("measure in ('refused', 'disliked', 'harmful')", name="measure"),
        CheckConstraint(
            "k_before between 0 and n_before and k_since between 0 and n_since and n_since > 0"
            " and n_before > 0",
            name="counts",
        ),
    )


for _mapper in Base.registry.mappers:
    # `\d+` in psql shows what the class says.
    _first_line = (_mapper.class_.__doc__ or "").strip().splitlines()[0]
    Base.metadata.tables[f"{SCHEMA}.{_mapper.class_.__tablename__}"].comment = _first_line
