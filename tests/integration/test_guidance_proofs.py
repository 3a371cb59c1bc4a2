"""Proofs of guidance on a real database: which one counts, and what cannot be stored."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from guidealign.db import read_proof, read_proofs, store_policy, store_proof
from guidealign.guidance.store import stamp
from guidealign.records import GuidanceProof
from tests.fakes.policies import POLICY, policy
from tests.integration.promotion_fixture import empty_library

_DECISION = text(
    "insert into core.gate_decisions (model_name, challenger_version, champion_version, verdict,"
    " reason, policy, evidence, evaluator, input_digest) values ('guidealign-guidance', 1, 0,"
    " 'promote', 'r', '{}', '[]', 'e', 'd') returning id"
)


def _measured(connection: Connection, **changes: Any) -> int:
    decision = connection.execute(_DECISION).scalar_one()
    values: dict[str, Any] = {
        "policy_version": store_policy(connection, POLICY, actor="test"),
        "model": "small",
        "verdict": "proven",
        "decision_id": decision,
        "library_version": 1,
        "retriever_version": 0,
        "figures": {"harmless": 0.04},
        "judge": "guidealign-judges/1",
        "actor": "gate",
        "reason": "better",
    }
    return store_proof(connection, GuidanceProof(**values | changes))


def test_the_newest_proof_of_a_policy_and_a_model_counts(engine: Engine) -> None:
    empty_library(engine)
    with engine.begin() as connection:
        assert read_proof(connection, 1, "small") is None
        first = _measured(connection)
        found = read_proof(connection, 1, "small")
        assert found is not None
        assert found.serves
        assert (found.proof_id, found.figures, found.library_version) == (
            first, {"harmless": 0.04}, 1,
        )  # fmt: skip
        other = store_policy(connection, policy(k=1), actor="test")
        for version, model, verdict in (
            (1, "small", "revoked"), (1, "large", "override"), (other, "small", "override"),
        ):  # fmt: skip
            said: dict[str, Any] = {"verdict": verdict, "actor": "ada", "reason": "I read 40"}
            store_proof(connection, GuidanceProof(policy_version=version, model=model, **said))
        assert [(p.model, p.verdict, p.serves) for p in read_proofs(connection, 1)] == [
            ("large", "override", True),
            ("small", "revoked", False),
        ]
        assert [p.serves for p in read_proofs(connection, other)] == [True]
    with pytest.raises(Exception, match="append-only"), engine.begin() as connection:
        connection.exec_driver_sql("update core.guidance_proofs set verdict = 'override'")


def test_a_proof_that_is_stored_late_is_noticed(engine: Engine) -> None:
    empty_library(engine)
    with engine.begin() as connection:
        version = store_policy(connection, POLICY, actor="test")
    one, other = (
        GuidanceProof(
            policy_version=version, model=model, verdict="override", actor="a", reason="r"
        )
        for model in ("small", "large")
    )
    with engine.begin() as late:
        store_proof(late, one)
        with engine.begin() as connection:
            store_proof(connection, other)
        before = stamp(engine, timeout_s=5)
    assert stamp(engine, timeout_s=5) != before


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "probably"},
        {"decision_id": None},
        {"library_version": None},
        {"verdict": "override"},
        {"reason": " "},
        {"model": ""},
        {"policy_version": 99},
    ],
    ids=str,
)
def test_what_says_too_little_is_no_proof(engine: Engine, wrong: dict[str, Any]) -> None:
    empty_library(engine)
    with pytest.raises(IntegrityError), engine.begin() as connection:
        _measured(connection, **wrong)
