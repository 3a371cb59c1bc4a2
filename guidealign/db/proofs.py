"""For which models guidance is proven, or vouched for: the newest row counts."""

from __future__ import annotations

import json
from dataclasses import asdict

from sqlalchemy import Connection, text

from guidealign.records import GuidanceProof

_STORE = text(
    "insert into core.guidance_proofs (policy_version, model, verdict, decision_id,"
    " library_version, retriever_version, figures, judge, actor, reason) values (:policy_version,"
    " :model, :verdict, :decision_id, :library_version, :retriever_version,"
    " cast(:figures as jsonb), :judge, :actor, :reason) returning id"
)
_NEWEST = text(
    "select distinct on (model) id as proof_id, policy_version, model, verdict, decision_id,"
    " library_version, retriever_version, figures, judge, actor, reason, created_at"
    " from core.guidance_proofs where policy_version = :policy_version"
    " and model = coalesce(cast(:model as text), model) order by model, id desc"
)

_REVOCATION = text(
    "select max(id) from core.guidance_proofs where policy_version = :policy_version"
    " and model = :model and verdict = 'revoked'"
)


def lock_proofs(connection: Connection) -> None:
    """Until the transaction ends nobody else decides by a proof that may be replaced meanwhile."""
    connection.execute(text("select pg_advisory_xact_lock(hashtext('guidealign.proofs'))"))


def last_revocation(connection: Connection, policy_version: int, model: str) -> int | None:
    """The number of the newest `revoked`, also where it counts no more; None: there is none."""
    values = {"policy_version": policy_version, "model": model}
    number: int | None = connection.execute(_REVOCATION, values).scalar_one()
    return number


def store_proof(connection: Connection, proof: GuidanceProof) -> int:
    """Appends a proof, which is the one that counts from then on; its number.

    The verdicts `proven` and `not_proven` need a decision and both versions, the others have none.
    """
    values = asdict(proof) | {"figures": json.dumps(proof.figures)}
    return int(connection.execute(_STORE, values).scalar_one())


def read_proof(connection: Connection, policy_version: int, model: str) -> GuidanceProof | None:
    """The proof that counts; None: nothing is known of this policy for this model."""
    values = {"policy_version": policy_version, "model": model}
    row = connection.execute(_NEWEST, values).mappings().one_or_none()
    return GuidanceProof(**row) if row else None


def read_proofs(connection: Connection, policy_version: int) -> list[GuidanceProof]:
    """The proofs of a policy that count, one a model, by the model's name."""
    rows = connection.execute(_NEWEST, {"policy_version": policy_version, "model": None})
    return [GuidanceProof(**row) for row in rows.mappings()]
