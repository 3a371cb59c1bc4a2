"""Sensors that hold no worker while they wait."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException

from guidealign_airflow.triggers import RegistryAliasTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class RegistryAliasSensor(BaseSensorOperator):
    """Waits until an alias of a registered model points to a version above a given one.

        RegistryAliasSensor(
            task_id="new_champion", model_name="guidealign-labrador", alias="champion", above=3
        )

    Its result is that version. The waiting is done by the triggerer; `timeout` bounds it.
    """

    template_fields: ClassVar[Sequence[str]] = ("model_name", "alias")

    def __init__(
        self,
        *,
        model_name: str,
        alias: str = "champion",
        above: int = 0,
        poll_s: float = 30.0,
        **operator: Any,
    ) -> None:
        super().__init__(**operator)
        self.model_name = model_name
        self.alias = alias
        self.above = above
        self.poll_s = poll_s

    def execute(self, context: Context) -> Any:
        """Hands the waiting to the triggerer."""
        del context
        self.defer(
            trigger=RegistryAliasTrigger(self.model_name, self.alias, self.above, self.poll_s),
            method_name="moved",
            timeout=timedelta(seconds=self.timeout),
        )

    def moved(self, context: Context, event: dict[str, Any]) -> int:
        """The version the alias points to now.

        Raises:
            AirflowFailException: it cannot be waited for.
        """
        del context
        if event["status"] == "error":
            raise AirflowFailException(event["message"])
        return int(event["version"])
