"""Buttons on a task that lead to what it made: MLflow, the report of a decision, a guideline.

Airflow asks for them in the worker, when the task has ended, and keeps the addresses as XComs; what
there is no address for has no button.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

    from guidealign_airflow.runtime import Services

PAGES = "/guidealign"
"""The pages in Airflow: `guidealign_airflow.pages.PREFIX`, whose import takes FastAPI's time."""


class _Link(BaseOperatorLink):
    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """What the operator left when it ran; empty: nothing."""
        del ti_key
        return str(getattr(operator, "links", {}).get(type(self), ""))


class MlflowLink(_Link):
    """The model version, or the experiment, in MLflow."""

    name = "MLflow"


class DecisionLink(_Link):
    """A gate's decision, or the model version that it was about, in the pages."""

    name = "Decision"


class GuidelinesLink(_Link):
    """The guidelines that came of the task, in the pages."""

    name = "Guidelines"


def links_of(result: dict[str, Any], ready: Services) -> dict[type[BaseOperatorLink], str]:
    """Addresses of what a stage returned, as far as it names something that has one.

    Args:
        result: with `model_name` and a version, or with the figures of guidelines.
        ready: for MLflow's address; a store that is no server has no page.
    """
    found: dict[type[BaseOperatorLink], str] = {}
    model = result.get("model_name")
    version = result.get("version") or result.get("challenger_version") or result.get("to_version")
    if model and version:
        found[DecisionLink] = f"{PAGES}/models/{model}/{version}"
        uri = ready.settings.mlflow.tracking_uri or ""
        if uri.startswith(("http://", "https://")):
            found[MlflowLink] = f"{uri.rstrip('/')}/#/models/{model}/versions/{version}"
    elif model:
        found[DecisionLink] = f"{PAGES}/models"
    if result.get("decision_id"):
        found[DecisionLink] = f"{PAGES}/decisions/{result['decision_id']}"
    if "n_guidelines" in result:
        found[GuidelinesLink] = f"{PAGES}/review"
    if "n_active" in result:
        found[GuidelinesLink] = f"{PAGES}/"
    return found
