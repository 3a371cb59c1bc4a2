"""An input tried: what would be found for it, and what the model says with and without."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field

from guidealign.guidance import compose
from guidealign.llm import ChatClient
from guidealign_airflow.pages.access import OwnPage, Reader, require
from guidealign_airflow.pages.context import guide, platform
from guidealign_airflow.pages.render import page

router = APIRouter()

_STAGE = "try"


class Tried(BaseModel):
    """What a user might say."""

    text: str = Field(min_length=1, max_length=20_000)


class Answered(Tried):
    """The same, and whether guidelines come with it."""

    guided: bool


@router.get("/try")
def try_it(request: Request, person: Reader) -> HTMLResponse:
    """The form; what it finds comes by itself."""
    settings = platform().settings
    return page("try", request, person, model=settings.base.model)


@router.post("/try/find", dependencies=[OwnPage, Depends(require("read"))])
def find(tried: Tried) -> JSONResponse:
    """The guidelines for an input, and whether the gateway would put them in front of the model."""
    found = guide().guide(tried.text, model=platform().settings.base.model)
    release = found.release
    return JSONResponse(
        {
            "status": found.status,
            "reason": found.reason,
            "release": release.release_id if release else None,
            "library_version": release.library_version if release else None,
            "retriever_version": release.retriever_version if release else None,
            "guidelines": [
                {
                    "id": g.guideline_id,
                    "title": g.title,
                    "text": g.text,
                    "category": g.category,
                    "score": round(g.score, 3),
                }
                for g in found.guidelines
            ],
        }
    )


@router.post("/try/answer", dependencies=[OwnPage, Depends(require("review"))])
def answer(tried: Answered) -> JSONResponse:
    """What the configured model says, guided or not."""
    settings = platform().settings
    messages, model = [{"role": "user", "content": tried.text}], settings.base.model
    if tried.guided:
        # To be tried whether or not the policy is proven for the model.
        found = guide().guide(tried.text, model=model)
        if found.release is not None:
            messages = compose(messages, found.guidelines, found.release.policy, model=model)
    with ChatClient(settings.base, stage=_STAGE) as client:
        said = client.complete(messages, temperature=0.0, max_tokens=settings.align.max_tokens)
    return JSONResponse(
        {
            "text": said.text,
            "seconds": round(said.latency_ms / 1000, 1),
            "tokens": said.completion_tokens,
            "cut": said.finish_reason == "length",
        }
    )
