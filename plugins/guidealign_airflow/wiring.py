"""The DAG of a stage, wired from the table: a task for each of its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow.sdk import BaseOperatorLink, get_current_context

from guidealign.cycle import Figures, Results, Services, Stage, Step, run_step, stage_named
from guidealign_airflow.approval_answer import approval_of
from guidealign_airflow.assets import INBOX_NAME
from guidealign_airflow.deadlines import stage_deadline
from guidealign_airflow.links import DecisionLink, GuidelinesLink, MlflowLink
from guidealign_airflow.operators import Part, StageOperator
from guidealign_airflow.people import ask_people
from guidealign_airflow.runtime import STAGE_DEFAULTS


class StepOperator(StageOperator):
    """One step of a stage of the table.

    Args:
        stage_name: of the table.
        step_name: of the stage.
        takes: results of steps before it, by step, or one item of what it runs over.
        answer: what people said, where they were asked.
    """

    template_fields: ClassVar[Sequence[str]] = (*StageOperator.template_fields, "takes", "answer")
    template_fields_renderers: ClassVar[dict[str, str]] = {"takes": "json"}
    operator_extra_links: ClassVar[tuple[BaseOperatorLink, ...]] = (
        MlflowLink(),
        DecisionLink(),
        GuidelinesLink(),
    )
    part: Part

    def __init__(
        self, *, stage_name: str, step_name: str, takes: Any, answer: Any = None, **operator: Any
    ) -> None:
        self.part = Part.of(stage_name, step_name)
        super().__init__(**operator)
        self.takes = takes
        self.answer = answer

    def params_of_run(self) -> Mapping[str, Any]:
        """The params of the run; one that the gateway's inbox started reads the inbox."""
        context = get_current_context()
        given = dict(context["params"])
        if any(asset.name == INBOX_NAME for asset in context["triggering_asset_events"]):
            given |= {"path": "", "query": "", "inbox": True}
        return given

    def results_before(self) -> Results:
        """What it takes."""
        return dict(self.takes)

    def approval(self) -> Any:
        """What the approvers answered."""
        return approval_of(self.answer)

    def run_stage(self, ready: Services) -> Figures:
        """The step itself."""
        stage, (step,) = self.part.stage, self.part.steps
        figures: Figures = run_step(stage, step, self.step_context(ready), self.takes)
        return figures


def stage_dag(name: str) -> dict[str, Any]:
    """Arguments of `@dag` for a stage of the table: all but its schedule, params and words."""
    stage = stage_named(name)
    return {
        "catchup": False,
        "max_active_runs": 1,
        "default_args": STAGE_DEFAULTS,
        "deadline": stage_deadline(name),
        "tags": ["guidealign", *stage.tags],
    }


def wire(name: str) -> None:
    """Makes the tasks of a stage, inside its DAG."""
    stage = stage_named(name)
    made: dict[str, Any] = {}
    for step in stage.steps:
        made[step.name] = _task(stage, step, made)
        for before in step.after:
            made[before] >> made[step.name]


def _task(stage: Stage, step: Step, made: Mapping[str, Any]) -> Any:
    options = {"task_id": step.name, "stage_name": stage.name, "step_name": step.name}
    options |= {"doc_md": step.about, **Part(stage, (step,)).options()}
    if step.over is not None:
        # What is mapped has no constructor to run yet: its pool and outlets are given here.
        return StepOperator.partial(
            **options, map_index_template="batch {{ task.takes['batch'] }}"
        ).expand(takes=made[step.over].output)
    takes = {name: made[name].output for name in step.takes}
    return StepOperator(
        **options,
        takes=takes,
        answer=ask_people(takes["gate"]) if step.asks_people else None,
        trigger_rule="all_done" if step.always else "all_success",
    )
