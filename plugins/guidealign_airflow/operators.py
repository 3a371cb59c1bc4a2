"""One operator for each stage: a thin shell around the function that the stage is.

They are for DAGs of your own, where a shipped DAG does not fit. Each has the retries of the
shipped stages, emits the stage's asset event, links to what it made, and returns its figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import Asset, BaseOperator, BaseOperatorLink

from guidealign_airflow.approval_answer import approval_of
from guidealign_airflow.assets import (
    ALIGNED_DATASET,
    CANDIDATES,
    INPUTS,
    LABRADOR,
    LIBRARY,
    RETRIEVER,
)
from guidealign_airflow.hooks import DEFAULT_CONNECTION
from guidealign_airflow.lineage import Facts
from guidealign_airflow.links import PAGES, DecisionLink, GuidelinesLink, MlflowLink
from guidealign_airflow.runtime import (
    MODEL_SERVER_POOL,
    STAGE_DEFAULTS,
    TRAINING_POOL,
    Services,
    actor,
    announce,
    note_run,
    person,
    services,
)
from guidealign_airflow.sources import read_source
from guidealign_airflow.stages import TellsOfItself

if TYPE_CHECKING:
    from airflow.sdk import Context

Stage = dict[str, Any]
_MODELS = {"guidealign-retriever": RETRIEVER, "guidealign-labrador": LABRADOR}


class StageOperator(TellsOfItself, BaseOperator):
    """What the stages have in common.

    Args:
        guidealign_conn_id: Airflow connection of the platform, of the type `guidealign`.
        operator: of every operator; `retries`, `retry_policy` and `owner` are the stages' own
            unless they are given.
    """

    template_fields: ClassVar[Sequence[str]] = ("guidealign_conn_id",)
    operator_extra_links: ClassVar[tuple[BaseOperatorLink, ...]] = ()
    outlet: ClassVar[Asset | None] = None
    stage_pool: ClassVar[str | None] = None

    def __init__(self, *, guidealign_conn_id: str = DEFAULT_CONNECTION, **operator: Any) -> None:
        given = STAGE_DEFAULTS | operator
        if self.outlet is not None:
            given.setdefault("outlets", [self.outlet])
        if self.stage_pool is not None:
            given.setdefault("pool", self.stage_pool)
        super().__init__(**given)
        self.guidealign_conn_id = guidealign_conn_id
        self.links = {}

    def run_stage(self, ready: Services) -> Stage:
        """The stage itself."""
        raise NotImplementedError

    def execute(self, context: Context) -> Stage:
        """Runs the stage; its figures go to the asset event and to XCom."""
        del context
        ready = services(self.guidealign_conn_id)
        result = self.run_stage(ready)
        self.tell(result, ready)
        for asset in self.outlets:
            if isinstance(asset, Asset):
                announce(asset, {"changed": _changed(result), **result})
        return result


def _changed(result: Stage) -> bool:
    """Whether a stage made anything new, by its own word or by its figures."""
    if "changed" in result:
        return bool(result["changed"])
    if "action" in result:
        return result["action"] in {"promote", "rollback"}
    return any(result.get(name, 0) > 0 for name in ("n_new", "n_guidelines"))


class IngestOperator(StageOperator):
    """Takes inputs in from a file, a query on an Airflow connection, or the gateway's inbox.

    Args:
        path: a JSONL, CSV or Parquet file.
        query: on `conn_id`, in place of a file.
        conn_id: an Airflow connection.
        inbox: what users said to the gateway.
        fields: `text_field`, `id_field`, `time_field`, `watermark_field` and `format`, by name.
        start: with `end`, ISO 8601: read this piece of the source's time whole, whatever was read
            before. A query needs `time_field` for it.
        end: not part of the piece.
    """

    template_fields: ClassVar[Sequence[str]] = (
        *StageOperator.template_fields, "path", "query", "conn_id", "fields", "start", "end",
    )  # fmt: skip
    template_fields_renderers: ClassVar[dict[str, str]] = {"query": "sql", "fields": "json"}
    stage = "ingest"
    outlet = INPUTS

    def __init__(  # noqa: PLR0913 - the ways to name a source
        self,
        *,
        path: str = "",
        query: str = "",
        conn_id: str = "",
        inbox: bool = False,
        fields: Mapping[str, str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **operator: Any,
    ) -> None:
        super().__init__(**operator)
        self.path = path
        self.query = query
        self.conn_id = conn_id
        self.inbox = inbox
        self.fields = dict(fields or {})
        self.start = start
        self.end = end

    def run_stage(self, ready: Services) -> Stage:
        """Reads the source."""
        given: dict[str, Any] = {"path": self.path, "query": self.query, "conn_id": self.conn_id}
        given |= {"inbox": self.inbox, **self.fields}
        between = None if self.start is None else (self.start, self.end or "")
        return read_source(given, ready, between=between)


class AuthorOperator(StageOperator):
    """Has the safety model assess new inputs and write guidelines for them.

    Args:
        budget: `max_requests`, `max_tokens` and `max_cost_usd` of the run; what is not named has
            no limit.
    """

    template_fields: ClassVar[Sequence[str]] = (*StageOperator.template_fields, "budget")
    operator_extra_links = (GuidelinesLink(),)
    stage = "author"
    outlet = CANDIDATES
    stage_pool = MODEL_SERVER_POOL

    def __init__(self, *, budget: Mapping[str, Any] | None = None, **operator: Any) -> None:
        super().__init__(**operator)
        self.budget = dict(budget or {})

    def run_stage(self, ready: Services) -> Stage:
        """One worker, until the queue is empty or the budget is spent."""
        from guidealign.authoring import (
            add_up_batches,
            author_batch,
            plan_run,
            record_run,
            register_prompts,
        )
        from guidealign.settings import BudgetSettings

        budget = BudgetSettings(**self.budget)
        register_prompts(ready.registry)
        plan_run(budget, **ready.data())
        result = author_batch(0, budget=budget, run_key=actor(), **ready.data()).as_dict()
        note_run(record_run([result], run_key=actor(), budget=budget, **ready.all()))
        return add_up_batches([result], ready.settings).as_dict()


class PublishOperator(StageOperator):
    """Publishes what passed the filter and the review policy, embeds it and serves it.

    Args:
        note: stands with the version in the library's history.
    """

    template_fields: ClassVar[Sequence[str]] = (*StageOperator.template_fields, "note")
    operator_extra_links = (GuidelinesLink(),)
    stage = "publish"
    outlet = LIBRARY

    def __init__(self, *, note: str = "published after authoring", **operator: Any) -> None:
        super().__init__(**operator)
        self.note = note

    def run_stage(self, ready: Services) -> Stage:
        """Without a change there is no new version."""
        from guidealign.db import current_release
        from guidealign.library import publish
        from guidealign.promotion import adopt_library
        from guidealign.retriever import embed_library

        published = publish(note=self.note, published_by=actor(), **ready.data()).as_dict()
        live = current_release(ready.engine)
        embed_library(live.retriever_version if live else 0, **ready.all())
        release = adopt_library(actor=actor(), **ready.data())
        return {**published, "release": release.release_id}


class TrainRetrieverOperator(StageOperator):
    """Trains a challenger for the retriever and embeds the library with it."""

    stage = "train"
    operator_extra_links = (MlflowLink(), DecisionLink())
    stage_pool = TRAINING_POOL

    def run_stage(self, ready: Services) -> Stage:
        """On the same data there is no new version."""
        from guidealign.records import RETRIEVER_MODEL
        from guidealign.retriever import embed_library, train_challenger

        trained = train_challenger(**ready.all()).as_dict()
        embed_library(trained["version"], **ready.all())
        return {"model_name": RETRIEVER_MODEL, **trained}


class AlignOperator(StageOperator):
    """Has the base model answer inputs with guidelines in front: the aligned data set."""

    stage = "align"
    outlet = ALIGNED_DATASET
    stage_pool = MODEL_SERVER_POOL

    def run_stage(self, ready: Services) -> Stage:
        """What was answered under the live release is not asked again."""
        from guidealign.alignment import build_dataset

        result = build_dataset(**ready.all()).as_dict()
        return {**result, "changed": result["n_new"] > 0}


class TrainLabradorOperator(StageOperator):
    """Fine-tunes Labrador on the aligned data set."""

    stage = "train"
    operator_extra_links = (MlflowLink(), DecisionLink())
    stage_pool = TRAINING_POOL

    def run_stage(self, ready: Services) -> Stage:
        """On the same data there is no new version."""
        from guidealign.labrador import train_labrador
        from guidealign.records import LABRADOR_MODEL

        return {"model_name": LABRADOR_MODEL, **train_labrador(**ready.all()).as_dict()}


class GateOperator(StageOperator):
    """Compares a challenger with the champion, case by case; decides, and moves nothing.

    Args:
        trained: what one of the training operators returned.
    """

    template_fields: ClassVar[Sequence[str]] = (*StageOperator.template_fields, "trained")
    stage = "gate"
    operator_extra_links = (DecisionLink(), MlflowLink())
    stage_pool = TRAINING_POOL

    def __init__(self, *, trained: Any, **operator: Any) -> None:
        super().__init__(**operator)
        self.trained = trained

    def given(self) -> Facts:
        """Which challenger."""
        return {
            "model_name": self.trained["model_name"],
            "challenger_version": self.trained["version"],
        }

    def run_stage(self, ready: Services) -> Stage:
        """The judgement, with its evidence."""
        from guidealign.evaluation import judge_labrador, judge_retriever
        from guidealign.records import LABRADOR_MODEL

        is_labrador = self.trained["model_name"] == LABRADOR_MODEL
        judge = judge_labrador if is_labrador else judge_retriever
        return judge(self.trained["version"], **ready.all()).as_dict()


class SwitchOperator(StageOperator):
    """Does what a gate decided: serves the challenger, or lets the champion be.

    Args:
        model_name: whose asset event it emits.
        judged: what `GateOperator` returned.
        answer: what `PromotionApproval` (in `guidealign_airflow.approval`) returned, where people
            are asked.
    """

    template_fields: ClassVar[Sequence[str]] = (
        *StageOperator.template_fields, "judged", "answer",
    )  # fmt: skip
    stage = "switch"
    operator_extra_links = (DecisionLink(), MlflowLink())

    def __init__(
        self, *, model_name: str, judged: Any, answer: Any = None, **operator: Any
    ) -> None:
        operator.setdefault("outlets", [_MODELS[model_name]])
        super().__init__(**operator)
        self.model_name = model_name
        self.judged = judged
        self.answer = answer

    def given(self) -> Facts:
        """The challenger, and the decision about it."""
        return {
            "model_name": self.model_name,
            "to_version": self.judged["challenger_version"],
            "decision_id": self.judged["decision_id"],
        }

    def run_stage(self, ready: Services) -> Stage:
        """Nothing moves that the gate did not pass, or that people held; a note says what came."""
        from guidealign.promotion import follow_judgement

        approval = approval_of(self.answer)
        done = follow_judgement(self.judged, actor=actor(), approval=approval, **ready.all())
        note_run(f"{self._decision()}{done.in_words()}")
        return done.as_dict()

    def _decision(self) -> str:
        """A link, in front: Airflow cuts long notes at their end."""
        number = self.judged["decision_id"]
        return f"[Decision {number}]({PAGES}/decisions/{number}): " if number else ""


class RollbackOperator(StageOperator):
    """Serves the previous version of a model again.

    Args:
        model_name: `guidealign-retriever` or `guidealign-labrador`.
        reason: goes into the ledger, with the name of who triggered the run.
    """

    template_fields: ClassVar[Sequence[str]] = (
        *StageOperator.template_fields, "model_name", "reason",
    )  # fmt: skip
    stage = "switch"
    operator_extra_links = (DecisionLink(), MlflowLink())

    def __init__(self, *, model_name: str, reason: str, **operator: Any) -> None:
        # A second try after a crash at the very end would go forward again.
        operator.setdefault("retries", 0)
        super().__init__(**operator)
        self.model_name = model_name
        self.reason = reason

    def given(self) -> Facts:
        """Which model; the version is the registry's to say."""
        return {"model_name": self.model_name}

    def run_stage(self, ready: Services) -> Stage:
        """The alias, the release and the ledger move together."""
        from guidealign.promotion import rollback

        done = rollback(self.model_name, actor=person(), reason=self.reason, **ready.all())
        note_run(done.in_words())
        return done.as_dict()
