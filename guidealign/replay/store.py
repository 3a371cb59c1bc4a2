"""Keeps what a replay found, for everybody who reads the ledger."""

from __future__ import annotations

import json

from sqlalchemy import Engine, text

from guidealign.db import guard_database
from guidealign.replay.model import Replay

_INSERT = text(
    "insert into core.replays (release_id, library_version, retriever_version, policy_version,"
    " source, n_requests, n_changed, n_abstained_live, n_abstained_candidate, tokens_live,"
    " tokens_candidate, report, actor) values (:release_id, :library_version, :retriever_version,"
    " :policy_version, :source, :n_requests, :n_changed, :n_abstained_live,"
    " :n_abstained_candidate, :tokens_live, :tokens_candidate,"
    " cast(:report as jsonb), :actor) returning id"
)


def keep_replay(replay: Replay, *, engine: Engine, actor: str) -> int:
    """Appends a replay's figures, without a word of any request; returns its number.

    Raises:
        ServiceUnavailableError: the database does not answer.
    """
    figures = replay.figures
    changed = [example.request_id for example in replay.examples]
    values = {
        "release_id": replay.live.release_id,
        "library_version": replay.candidate.library_version,
        "retriever_version": replay.candidate.retriever_version,
        "policy_version": replay.candidate.policy_version,
        "source": replay.source,
        "n_requests": figures["n_requests"],
        "n_changed": figures["changed"]["hits"],
        "n_abstained_live": figures["abstention"]["live"]["hits"],
        "n_abstained_candidate": figures["abstention"]["candidate"]["hits"],
        "tokens_live": figures["tokens"]["live_total"],
        "tokens_candidate": figures["tokens"]["candidate_total"],
        "report": json.dumps({**figures, "most_changed": changed}),
        "actor": actor,
    }
    with guard_database(), engine.begin() as connection:
        return int(connection.execute(_INSERT, values).scalar_one())
