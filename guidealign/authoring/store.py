"""SQL of authoring: what is pending, and one input's results in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, Engine, text

from guidealign.authoring.model import Authored, AuthorResult, JudgedDraft, guideline_hash
from guidealign.db import complete, guard_database
from guidealign.ingest import normalize_text
from guidealign.llm import CallRecord

PromptedCall = tuple[str, CallRecord]
"""A call and the version of the prompt it was made with."""
TASK = "author"
_MAX_PAYLOAD_CHARS = 500

# Near copies of an earlier input and the starter's own inputs need no new guidelines.
_PENDING = text(
    "select i.id from core.inputs i"
    " where i.near_duplicate_of is null and i.source <> 'starter'"
    " and not exists (select from core.assessments a where a.input_id = i.id)"
    # An imported library's inputs have their guidelines.
    " and not exists (select from core.pairs p where p.input_id = i.id and p.origin = 'import')"
    " and not exists (select from core.leases l where l.task = 'author' and l.item_id = i.id)"
    " order by i.id limit :limit"
)
_HOLDERS = text(
    "select distinct holder from core.leases where task = 'author' and done_at is null"
    " and starts_with(holder, :prefix)"
)
_FORGET_ATTEMPT = text(
    "update core.leases set attempts = greatest(attempts - 1, 0)"
    " where task = 'author' and item_id = :id and done_at is null"
)
_INSERT_CALL = text(
    "insert into core.model_calls (stage, input_id, model, prompt_version, attempt, status, error,"
    " prompt_tokens, completion_tokens, latency_ms) values (:stage, :input_id, :model,"
    " :prompt_version, :attempt, :status, :error, :prompt_tokens, :completion_tokens, :latency_ms)"
)
_INSERT_ASSESSMENT = text(
    "insert into core.assessments (input_id, unsafe_content, may_trigger_unsafe, categories,"
    " severity, rationale, model, prompt_version) values (:input_id, :unsafe_content,"
    " :may_trigger_unsafe, :categories, :severity, :rationale, :model, :prompt_version)"
    " on conflict do nothing returning id"
)
_INSERT_GUIDELINE = text(
    "insert into core.guidelines (text_hash, title, text, category, origin, author_model,"
    " prompt_version, state, state_reason, checked) values (:text_hash, :title, :text, :category,"
    " 'model', :model, :prompt_version, :state, :state_reason, :state = 'candidate')"
    " on conflict (text_hash) do nothing returning id"
)
_INSERT_PAIR = text(
    "insert into core.pairs (input_id, guideline_id, assessment_id, origin)"
    " select :input_id, g.id, :assessment_id, 'model' from core.guidelines g"
    " where g.text_hash = :text_hash on conflict do nothing"
)
_INSERT_REJECT = text(
    "insert into core.rejects (stage, reason, detail, input_id, payload)"
    " values (:stage, :reason, :detail, :input_id, :payload)"
)


def pending_inputs(connection: Connection, limit: int) -> list[int]:
    """Ids of inputs that nobody has been asked to author, oldest first."""
    return list(connection.execute(_PENDING, {"limit": limit}).scalars())


def lease_holders(connection: Connection, prefix: str) -> list[str]:
    """Who holds unfinished inputs, among holders whose name starts so."""
    return list(connection.execute(_HOLDERS, {"prefix": prefix}).scalars())


def input_text(engine: Engine, input_id: int) -> str:
    """The normalised text of an input."""
    with guard_database(), engine.connect() as connection:
        return connection.execute(
            text("select text from core.inputs where id = :id"), {"id": input_id}
        ).scalar_one()


def is_held(connection: Connection, input_id: int, holder: str) -> bool:
    """Whether the holder's lease of an input still stands; locks it until the commit."""
    query = text(
        "select 1 from core.leases where task = 'author' and item_id = :id"
        " and holder = :holder and done_at is null for update"
    )
    return connection.execute(query, {"id": input_id, "holder": holder}).first() is not None


def forget_attempt(connection: Connection, input_id: int) -> None:
    """Takes back an attempt that failed for reasons outside the input."""
    connection.execute(_FORGET_ATTEMPT, {"id": input_id})


def save_calls(connection: Connection, input_id: int | None, calls: Sequence[PromptedCall]) -> None:
    """Stores calls, whatever came of them."""
    rows = [
        {**asdict(call), "input_id": input_id, "prompt_version": version} for version, call in calls
    ]
    if rows:
        connection.execute(_INSERT_CALL, rows)


def save_reject(
    connection: Connection,
    input_id: int,
    *,
    stage: str,
    reason: str,
    detail: str,
    payload: str | None = None,
) -> None:
    """Stores what did not go on, and why."""
    cut = payload.replace("\0", "")[:_MAX_PAYLOAD_CHARS] if payload else None
    values = {"stage": stage, "reason": reason, "detail": detail, "payload": cut}
    connection.execute(_INSERT_REJECT, {**values, "input_id": input_id})


def save_authored(
    engine: Engine, input_id: int, authored: Authored, calls: Sequence[PromptedCall], *, holder: str
) -> AuthorResult | None:
    """Stores all that came of an input and ends its lease, in one transaction.

    Returns:
        What was stored; None: the lease was no longer the holder's, so only the calls were.
    """
    with guard_database(), engine.begin() as connection:
        save_calls(connection, input_id, calls)
        if complete(connection, TASK, [input_id], holder=holder) != 1:
            return None
        return _save(connection, input_id, authored)


def _save(connection: Connection, input_id: int, authored: Authored) -> AuthorResult:
    found = authored.detection
    assessment_id = connection.execute(
        _INSERT_ASSESSMENT,
        {
            "input_id": input_id,
            "unsafe_content": found.unsafe_content,
            "may_trigger_unsafe": found.may_trigger_unsafe,
            "categories": found.risk_categories(),
            "severity": found.risk_severity(),
            "rationale": normalize_text(found.rationale),
            "model": authored.model,
            "prompt_version": authored.prompt_version,
        },
    ).scalar_one_or_none()
    if assessment_id is None:
        return AuthorResult()
    # One order for all writers: two that insert the same texts never wait for each other.
    drafts = sorted(authored.drafts, key=lambda draft: guideline_hash(draft.title, draft.text))
    new = [_save_draft(connection, input_id, assessment_id, authored, draft) for draft in drafts]
    return AuthorResult(
        n_inputs=1,
        n_unsafe=int(found.unsafe),
        n_guidelines=sum(new),
        n_filtered=sum(not draft.verdict.ok for draft in drafts),
    )


def _save_draft(
    connection: Connection,
    input_id: int,
    assessment_id: int,
    authored: Authored,
    draft: JudgedDraft,
) -> bool:
    """Stores one guideline with its pair; True: it is a new candidate."""
    verdict = draft.verdict
    values = {
        "text_hash": guideline_hash(draft.title, draft.text),
        "title": draft.title,
        "text": draft.text,
        "category": draft.category,
        "model": authored.model,
        "prompt_version": authored.guideline_prompt_version,
        "state": "candidate" if verdict.ok else "quarantined",
        "state_reason": None if verdict.ok else f"{verdict.reason}: {verdict.detail}",
    }
    added = connection.execute(_INSERT_GUIDELINE, values).scalar_one_or_none() is not None
    if not verdict.ok:
        save_reject(
            connection,
            input_id,
            stage="filter",
            reason=verdict.reason or "filtered",
            detail=verdict.detail or "stopped by the quality filter",
            payload=f"{draft.title}: {draft.text}",
        )
    # What was stopped keeps its input as well: a person who looks at it must see where it
    # came from. A text that exists already and is stopped here only adds the reject.
    if verdict.ok or added:
        pair = {"input_id": input_id, "assessment_id": assessment_id}
        connection.execute(_INSERT_PAIR, {**pair, "text_hash": values["text_hash"]})
    return added and verdict.ok
