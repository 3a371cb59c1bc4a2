"""What a stage leaves when it has run, as an operator or as a function: links and lineage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import BaseOperatorLink
from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory

from guidealign.cycle import Kind
from guidealign_airflow.hooks import DEFAULT_CONNECTION, GuidealignHook
from guidealign_airflow.lineage import (
    Facts,
    Lineage,
    is_told,
    known_after,
    known_before,
)
from guidealign_airflow.links import DecisionLink, GuidelinesLink, MlflowLink, links_of
from guidealign_airflow.runtime import Services, services

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context


class TellsOfItself:
    """A task that links to what it made and tells OpenLineage what it read and wrote.

    The `get_openlineage_...` methods are the ones that Airflow's provider for OpenLineage looks
    for; without it, or without a transport, nobody calls them.
    """

    stage: Kind | None = None
    guidealign_conn_id: str = DEFAULT_CONNECTION
    links: dict[type[BaseOperatorLink], str]
    known: Lineage | None = None

    def given(self) -> Facts:
        """What is known of the stage before it runs, named as in what it returns."""
        return {}

    def tell(self, result: dict[str, Any], ready: Services) -> None:
        """Keeps links and lineage until Airflow asks for them, when the task has ended.

        Lineage is looked up here and not when it is asked for: then Airflow forks, and a
        connection must not be shared between two processes.
        """
        import structlog

        from guidealign.errors import GuidealignError

        self.links = links_of(result, ready)
        if self.stage is None or not is_told():
            return
        try:
            facts = {**self.given(), **result}
            self.known = known_after(self.stage, facts, ready)
        except GuidealignError as error:
            # What was done is done: lineage is told of it with less, not instead of it.
            structlog.get_logger().warning("lineage.not_known", error=str(error))

    def get_openlineage_facets_on_start(self) -> OperatorLineage:
        """Data sets by name."""
        return _events(self._known_before())

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage:
        """Data sets with their versions, and the stage's figures."""
        del task_instance
        return _events(self.known or self._known_before())

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage:
        """What was read; what failed has written nothing that counts."""
        del task_instance
        return _events(Lineage(self._known_before().reads, ()))

    def _known_before(self) -> Lineage:
        if self.stage is None:
            return Lineage((), ())
        settings = GuidealignHook(self.guidealign_conn_id).settings()
        return known_before(self.stage, self.given(), settings)


def _events(known: Lineage) -> OperatorLineage:
    from guidealign_airflow.lineage_events import as_openlineage

    return as_openlineage(known)


class StageTask(TellsOfItself, DecoratedOperator, PythonOperator):
    """A function that is a stage, or the part of one that makes something."""

    template_fields: ClassVar[Sequence[str]] = ("templates_dict", "op_args", "op_kwargs")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "templates_dict": "json",
        "op_args": "py",
        "op_kwargs": "py",
    }
    operator_extra_links: ClassVar[tuple[BaseOperatorLink, ...]] = (
        MlflowLink(),
        DecisionLink(),
        GuidelinesLink(),
    )
    custom_operator_name = "@stage_task"

    def __init__(self, *, stage: Kind, **operator: Any) -> None:
        given = {name: operator[name] for name in ("python_callable", "op_args", "op_kwargs")}
        super().__init__(kwargs_to_upstream=given, **operator)
        self.stage = stage
        self.links = {}

    def execute(self, context: Context) -> dict[str, Any]:
        """Runs the function; it returns the stage's figures."""
        result: dict[str, Any] = super().execute(context)
        self.tell(result, services())
        return result


def stage_task(stage: Kind, **operator: Any) -> Callable[[Callable[..., Any]], Any]:
    """As `@task`, for a function that makes something: with links to it, and lineage.

    Args:
        stage: what the function does; it returns what that stage's operator returns.
        operator: of every operator.
    """
    decorator: Callable[[Callable[..., Any]], Any] = task_decorator_factory(
        decorated_operator_class=StageTask, stage=stage, **operator
    )
    return decorator
