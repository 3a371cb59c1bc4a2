"""Builds the aligned data set: guided answers to a sample of inputs, filtered, with a digest."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass

import structlog
from sqlalchemy import Engine

from guidealign.alignment import store
from guidealign.alignment.answer import answer_inputs
from guidealign.alignment.model import (
    EXPERIMENT,
    AlignedData,
    AnswerKey,
    DatasetResult,
    SampledInput,
    StoredAnswer,
    dataset_digest,
)
from guidealign.alignment.preferences import build_preferences
from guidealign.db import current_release, guard_database
from guidealign.errors import BadInputError, ModelOutputError
from guidealign.guidance import register_policy
from guidealign.registry import Registry
from guidealign.settings import Settings

log = structlog.get_logger()


def build_dataset(*, engine: Engine, settings: Settings, registry: Registry) -> DatasetResult:
    """Answers a sample of inputs with guidelines and stores what passed as a data set.

    Answers that are there already (same input, model, prompt, library and retriever) are
    used again, and the same content gives the same data set, so a second call costs nothing.
    Where Labrador is to learn preferences, the answers are compared with unguided ones too.

    Raises:
        BadInputError: nothing is live yet, or there is no input to answer.
        ServiceUnavailableError: the model server is away; what it answered so far is stored.
        ModelOutputError: no answer passed the filters.
    """
    release = current_release(engine)
    if release is None:
        raise BadInputError("nothing is live yet: publish the library before aligning")
    key = AnswerKey.of(settings, release)
    with guard_database(), engine.connect() as connection:
        inputs = store.sample_inputs(
            connection,
            n=settings.align.max_inputs,
            general_share=settings.align.general_share,
            seed=settings.align.seed,
        )
        known = {a.input_id for a in store.answers(connection, [i.input_id for i in inputs], key)}
    if not inputs:
        raise BadInputError("there is no input with a category to answer: ingest and author first")
    missing = [i for i in inputs if i.input_id not in known]
    register_policy(release.policy, registry)
    done = answer_inputs(
        missing, engine=engine, settings=settings, registry=registry, release=release
    )
    with guard_database(), engine.connect() as connection:
        stored = store.answers(connection, [i.input_id for i in inputs], key)
    kept = _Kept.of(stored, inputs)
    dataset_id, changed = _store(kept, key, engine, registry)
    pairs = None
    if settings.labrador.objective == "sft_dpo":
        pairs = build_preferences(dataset_id, engine=engine, settings=settings, registry=registry)
    result = DatasetResult(
        dataset_id=dataset_id,
        digest=kept.digest,
        n=len(kept.answers),
        n_new=done.n_new,
        n_filtered=sum(kept.filtered.values()),
        n_failed=done.n_failed,
        n_general=kept.n_general,
        filtered=kept.filtered,
        n_pairs=pairs.n if pairs else None,
        changed=changed,
        library_version=release.library_version,
        retriever_version=release.retriever_version,
    )
    log.info("aligned", **result.as_dict())
    return result


def load_dataset(dataset_id: int | None = None, *, engine: Engine) -> AlignedData:
    """A stored data set; without an id the newest.

    Raises:
        BadInputError: there is no such data set.
    """
    with guard_database(), engine.connect() as connection:
        data = store.load_dataset(connection, dataset_id)
    if data is None:
        named = "no aligned data set yet" if dataset_id is None else f"no data set {dataset_id}"
        raise BadInputError(f"there is {named}: run the align stage first")
    return data


def dataset_run(dataset_id: int, *, engine: Engine) -> str | None:
    """The MLflow run of a data set; None: it has none, or there is no such data set."""
    with guard_database(), engine.connect() as connection:
        return store.dataset_run(connection, dataset_id)


@dataclass(frozen=True)
class _Kept:
    """The answers that make the data set, in its order."""

    answers: tuple[StoredAnswer, ...]
    categories: dict[int, str]
    n_general: int
    filtered: dict[str, int]
    digest: str

    @classmethod
    def of(cls, stored: list[StoredAnswer], inputs: list[SampledInput]) -> _Kept:
        answers = tuple(a for a in stored if a.filtered_reason is None)
        reasons = Counter(a.filtered_reason for a in stored if a.filtered_reason is not None)
        if not answers:
            raise ModelOutputError(
                f"no answer passed the filters ({dict(reasons) or 'none was given'}):"
                " see filtered_reason in core.aligned_responses"
            )
        digest = dataset_digest((a.text_hash, a.response) for a in answers)
        categories = {i.input_id: i.category for i in inputs}
        safe = {i.input_id for i in inputs if i.known_safe}
        return cls(
            answers,
            categories,
            sum(a.input_id in safe for a in answers),
            dict(sorted(reasons.items())),
            digest,
        )

    def records(self) -> list[dict[str, object]]:
        """For MLflow, ids in place of words: user text stays in the database."""
        return [
            {
                "input_id": a.input_id,
                "response_id": a.response_id,
                "category": self.categories[a.input_id],
                "input_sha256": a.text_hash,
                "response_chars": len(a.response),
            }
            for a in self.answers
        ]


def _store(kept: _Kept, key: AnswerKey, engine: Engine, registry: Registry) -> tuple[int, bool]:
    """The id of the data set, and whether it is new."""
    with guard_database(), engine.connect() as connection:
        found = store.dataset_id(connection, kept.digest)
    if found is not None:
        return found, False
    with registry.run(EXPERIMENT, "align", tags={"data_digest": kept.digest}) as run:
        run.log_params(asdict(key))
        counts = {f"filtered/{reason}": float(n) for reason, n in kept.filtered.items()}
        run.log_metrics(
            {"n": float(len(kept.answers)), "n_general": float(kept.n_general), **counts}
        )
        run.log_dataset(kept.records(), name="aligned", digest=kept.digest, context="alignment")
        ids = [a.response_id for a in kept.answers]
        with guard_database(), engine.begin() as connection:
            new = store.add_dataset(connection, key, kept.digest, ids, mlflow_run_id=run.id)
            again = store.dataset_id(connection, kept.digest)
    if again is None:
        raise AssertionError("a data set that was just stored is there")
    return again, new is not None
