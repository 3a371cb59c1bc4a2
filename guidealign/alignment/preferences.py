"""Preference pairs: guided against unguided answers, kept where a rule tells them apart."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine

from guidealign.alignment import preference_store as store
from guidealign.alignment._separate import judge_name, separate
from guidealign.alignment.answer import AnswerCounts, Job, answer_jobs
from guidealign.alignment.model import (
    EXPERIMENT,
    AnswerKey,
    PreferenceData,
    PreferenceResult,
    dataset_digest,
)
from guidealign.alignment.preference_store import ComparisonKey, JudgedPair
from guidealign.db import guard_database
from guidealign.errors import BadInputError
from guidealign.registry import Registry
from guidealign.settings import Settings

_KEPT = "guided_better"

log = structlog.get_logger()


def build_preferences(
    dataset_id: int, *, engine: Engine, settings: Settings, registry: Registry
) -> PreferenceResult:
    """Asks for the unguided answers, compares, and stores the pairs that are told apart.

    Answers and verdicts that are there are used again, and the same pairs make the same set,
    so a second call costs nothing.

    Args:
        dataset_id: of an aligned data set.
        engine: the guidealign database.
        settings: `align.preference_margin` of the judge, `base` that answers, `safety` that
            judges.
        registry: where the set is logged.

    Raises:
        ConfigurationError: the model would judge its own answers.
        ServiceUnavailableError: a model server is away; what it answered so far is stored.
    """
    judge_of = judge_name(settings)
    plain = AnswerKey.plain(settings)
    key = ComparisonKey(
        dataset_id=dataset_id, model=plain.model, prompt_version=plain.prompt_version
    )
    asked = _answer_plainly(key, engine, settings)
    with guard_database(), engine.connect() as connection:
        waiting = store.unjudged(connection, key, judge_of)
    found = separate(waiting, settings=settings)
    with guard_database(), engine.begin() as connection:
        store.add_judgements(connection, found, judge_of)
    with guard_database(), engine.connect() as connection:
        compared = store.judged(connection, key, judge_of)
    dropped = Counter(one.verdict for one in compared if one.verdict != _KEPT)
    dropped["no_verdict"] = len(waiting) - len(found)
    dropped["no_answer"] = asked.n_failed
    counts = {reason: n for reason, n in sorted(dropped.items()) if n}
    kept = [one for one in compared if one.verdict == _KEPT]
    made = _store(kept, counts, judge_of, key, engine, registry) if kept else None
    result = PreferenceResult(
        set_id=made.set_id if made else None,
        dataset_id=dataset_id,
        digest=made.digest if made else None,
        n=len(kept),
        n_asked=asked.n_new,
        n_failed=asked.n_failed,
        dropped=counts,
        changed=made.is_new if made else False,
    )
    log.info("answers compared", **result.as_dict())
    return result


def load_preferences(dataset_id: int, *, engine: Engine) -> PreferenceData:
    """The newest set of pairs of an aligned data set.

    Raises:
        BadInputError: there is none.
    """
    with guard_database(), engine.connect() as connection:
        found = store.load_set(connection, dataset_id)
    if found is None:
        raise BadInputError(
            f"data set {dataset_id} has no preference pairs: run the align stage with"
            " LABRADOR__OBJECTIVE=sft_dpo, or train without"
        )
    return found


def _answer_plainly(key: ComparisonKey, engine: Engine, settings: Settings) -> AnswerCounts:
    """Asks for the answers without guidelines that are missing."""
    with guard_database(), engine.connect() as connection:
        missing = store.unanswered(connection, key)
    jobs = [Job(input_id=input_id, text=prompt) for input_id, prompt in missing]
    plain = AnswerKey.plain(settings)
    return answer_jobs(jobs, plain, engine=engine, settings=settings, stage="preference")


@dataclass(frozen=True)
class _Made:
    set_id: int
    digest: str
    is_new: bool


def _store(
    kept: list[JudgedPair],
    dropped: dict[str, int],
    judge_of: str,
    key: ComparisonKey,
    engine: Engine,
    registry: Registry,
) -> _Made:
    digest = dataset_digest(
        part
        for one in kept
        for part in ((one.text_hash, one.pair.chosen), (one.text_hash, one.pair.rejected))
    )
    with guard_database(), engine.connect() as connection:
        found = store.set_id(connection, key.dataset_id, digest)
    if found is not None:
        return _Made(found, digest, is_new=False)
    with registry.run(EXPERIMENT, "prefer", tags={"data_digest": digest}) as run:
        run.log_params({"judge": judge_of, "dataset_id": key.dataset_id})
        counts = {f"dropped/{reason}": float(n) for reason, n in dropped.items()}
        run.log_metrics({"n": float(len(kept)), **counts})
        records = [
            {
                "input_id": one.pair.input_id,
                "judgement_id": one.judgement_id,
                "chosen_chars": len(one.pair.chosen),
                "rejected_chars": len(one.pair.rejected),
            }
            for one in kept
        ]
        run.log_dataset(records, name="preferences", digest=digest, context="alignment")
        values = {
            "digest": digest,
            "dataset_id": key.dataset_id,
            "judge": judge_of,
            "dropped": dropped,
            "mlflow_run_id": run.id,
        }
        with guard_database(), engine.begin() as connection:
            new = store.add_set(connection, values, [one.judgement_id for one in kept])
            again = store.set_id(connection, key.dataset_id, digest)
    if again is None:
        raise AssertionError("a set that was just stored is there")
    return _Made(again, digest, is_new=new is not None)
