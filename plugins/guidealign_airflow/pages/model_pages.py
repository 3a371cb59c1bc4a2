"""What serves, what was decided about challengers and why, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field

from guidealign.db import current_release
from guidealign.errors import GuidealignError
from guidealign.evaluation import decision_page
from guidealign.promotion import (
    CheckRow,
    lineage_steps,
    model_lineage,
    recent_decisions,
    recent_moves,
    rollback,
)
from guidealign.records import LABRADOR_MODEL, RETRIEVER_MODEL
from guidealign_airflow.pages.access import Operator, OwnPage, Reader
from guidealign_airflow.pages.charts import Interval
from guidealign_airflow.pages.context import platform
from guidealign_airflow.pages.render import page, plain_page

router = APIRouter()

_ALIASES = ("champion", "previous", "challenger")


@dataclass(frozen=True)
class Serving:
    """A model as the registry and the release have it."""

    name: str
    live: int
    aliases: dict[str, int | None]
    problem: str | None = None
    """Why the registry could not be asked."""


def _serving(name: str, live: int) -> Serving:
    registry = platform().registry
    try:
        return Serving(name, live, {a: registry.alias_version(name, a) for a in _ALIASES})
    except GuidealignError as error:
        return Serving(name, live, dict.fromkeys(_ALIASES), str(error))


def _address(tracking_uri: str) -> str:
    """What a browser can open; a database of MLflow's is nothing to link to."""
    return tracking_uri.rstrip("/") if tracking_uri.startswith(("http://", "https://")) else ""


def _drawn(checks: list[CheckRow]) -> list[Interval]:
    return [
        Interval(c.name, c.difference, c.ci_low, c.ci_high, c.outcome)
        for c in checks
        if c.difference is not None and c.ci_low is not None and c.ci_high is not None
    ]


@router.get("/models")
def models(request: Request, person: Reader) -> HTMLResponse:
    """Champions and challengers, gates as intervals, the ledger, where models come from."""
    ready = platform()
    release = current_release(ready.engine)
    live = {
        RETRIEVER_MODEL: release.retriever_version if release else 0,
        LABRADOR_MODEL: release.labrador_version if release else 0,
    }
    decisions = recent_decisions(engine=ready.engine)
    return page(
        "models",
        request,
        person,
        release=release,
        models=[_serving(name, version) for name, version in live.items()],
        decisions=[(d, _drawn(d.checks)) for d in decisions],
        moves=recent_moves(engine=ready.engine),
        lineage=model_lineage(engine=ready.engine),
        mlflow=_address(ready.settings.mlflow.tracking_uri or ""),
    )


@router.get("/decisions/{decision_id}")
def decision(person: Reader, decision_id: int) -> HTMLResponse:
    """A gate's decision on one page, as it is stored with the model in MLflow."""
    del person
    return plain_page(decision_page(decision_id, engine=platform().engine))


@router.get("/models/{model_name}/{version}")
def lineage(request: Request, person: Reader, model_name: str, version: int) -> HTMLResponse:
    """One version, from the inputs it came from to what was decided about it."""
    ready = platform()
    return page(
        "lineage",
        request,
        person,
        model_name=model_name,
        version=version,
        steps=lineage_steps(model_name, version, engine=ready.engine),
        mlflow=_address(ready.settings.mlflow.tracking_uri or ""),
    )


class Rollback(BaseModel):
    """Which model goes back, and why."""

    model_name: Literal["guidealign-retriever", "guidealign-labrador"]
    reason: str = Field(min_length=1, max_length=1000)


@router.post("/models/rollback", dependencies=[OwnPage])
def roll_back(person: Operator, given: Rollback) -> JSONResponse:
    """Serves the previous champion again."""
    ready = platform()
    done = rollback(given.model_name, actor=person.actor, reason=given.reason, **ready.all())
    return JSONResponse(
        {
            "message": f"{done.model_name}: version {done.to_version} serves again in place of"
            f" {done.from_version} (release {done.release_id})"
        }
    )
