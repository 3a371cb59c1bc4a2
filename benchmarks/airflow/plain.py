"""The stages of a cycle as plain functions, one after the other in one process; prints seconds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from guidealign import alignment, authoring, evaluation, ingest, labrador, library, promotion
from guidealign import retriever as retrieval
from guidealign.db import current_release, make_engine
from guidealign.registry import Registry
from guidealign.settings import BudgetSettings, load_settings

_ACTOR = "benchmark"


def main() -> None:
    settings = load_settings()
    engine = make_engine(settings.require_database_url())
    registry = Registry(settings.mlflow.tracking_uri or "")
    data: dict[str, Any] = {"engine": engine, "settings": settings}
    every: dict[str, Any] = {**data, "registry": registry}

    def take_in() -> None:
        library.install_starter(**data)
        spec = ingest.file_source(ingest.bundled_inbox(), name="bundled-inbox")
        ingest.ingest_source(spec, **data)

    def author() -> None:
        authoring.register_prompts(registry)
        budget = BudgetSettings()
        authoring.plan_run(budget, **data)
        results = [authoring.author_batch(0, budget=budget, run_key=_ACTOR, **data).as_dict()]
        authoring.add_up_batches(results, settings)
        authoring.record_run(results, run_key=_ACTOR, budget=budget, **every)

    def publish() -> None:
        library.publish(note="published after authoring", published_by=_ACTOR, **data)
        live = current_release(engine)
        retrieval.embed_library(live.retriever_version if live else 0, **every)
        promotion.adopt_library(actor=_ACTOR, **data)

    def retrain() -> None:
        trained = retrieval.train_challenger(**every)
        retrieval.embed_library(trained.version, **every)
        judged = evaluation.judge_retriever(trained.version, **every).as_dict()
        promotion.follow_judgement(judged, actor=_ACTOR, **every)

    def align() -> None:
        alignment.build_dataset(**every)

    def fine_tune() -> None:
        trained = labrador.train_labrador(**every)
        judged = evaluation.judge_labrador(trained.version, **every).as_dict()
        promotion.follow_judgement(judged, actor=_ACTOR, **every)

    stages: list[Callable[[], None]] = [take_in, author, publish, retrain, align, fine_tune]
    seconds = {}
    for stage in stages:
        begun = time.perf_counter()
        stage()
        seconds[stage.__name__] = time.perf_counter() - begun
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
