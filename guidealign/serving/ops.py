"""What operators ask: health, readiness, figures."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from guidealign.serving import _openapi as shapes
from guidealign.serving._http import is_local_name
from guidealign.serving.exchange import Parts
from guidealign.serving.gate import Arrival
from guidealign.serving.key_gate import KeyGate
from guidealign.serving.refusal import Refusal

ops = APIRouter()
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


@ops.get("/healthz", **shapes.HEALTH)
async def healthz() -> Response:
    """The process runs."""
    return JSONResponse({"status": "ok"})


@ops.get("/readyz", **shapes.READY)
async def readyz(request: Request) -> Response:
    """Whether requests get guidelines; 503: not yet, or not any more. In full for operators."""
    parts: Parts = request.app.state.parts
    guidance = parts.guidance
    release = guidance.release
    ready = release is not None
    said: dict[str, Any] = {
        "status": "ready" if ready else "not ready",
        "release": release.release_id if release else None,
        "stale": ready and guidance.fault is not None,
    }
    # A probe without a key gets the short form: whether is all that it asks.
    with suppress(Refusal):
        await _require_operator(request)
        said |= _in_full(parts)
    return JSONResponse(said, status_code=200 if ready else 503)


def _in_full(parts: Parts) -> dict[str, Any]:
    guidance = parts.guidance
    release, candidate = guidance.release, guidance.candidate
    said: dict[str, Any] = {
        "fault": guidance.fault,
        "library_version": release and release.library_version,
        "retriever_version": release and release.retriever_version,
        "n_guidelines": guidance.n_guidelines,
        "n_waiting": guidance.n_waiting,
        "canary": candidate and candidate.canary_id,
        "canary_fault": guidance.candidate_fault,
    }
    if isinstance(parts.gate, KeyGate):
        said["keys_age_s"] = parts.gate.ring.age_s()
        said["records"] = {
            kind: {
                "accepted": account.accepted,
                "stored": account.stored,
                "waiting": account.waiting,
                "dropped": dict(account.dropped),
            }
            for kind, account in parts.gate.recorder.accounts().items()
        }
    return said


@ops.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Figures for Prometheus: from this machine itself, or with a key of the scope `ops`."""
    await _require_operator(request)
    parts: Parts = request.app.state.parts
    figures = request.app.state.metrics
    figures.sample(parts, parts.watch.trace_outcomes)
    content, kind = figures.exposition()
    return Response(content, headers={"content-type": kind})


async def _require_operator(request: Request) -> None:
    if _is_loopback(request):
        return
    parts: Parts = request.app.state.parts
    policy = await parts.gate.authenticate(request.headers)
    request.state.policy = policy
    if not policy.may("ops"):
        raise Refusal(403, "insufficient_scope", "this needs a key with the scope `ops`")
    arrival = Arrival(
        response_id=request.state.response_id,
        scope="ops",
        policy=policy,
        model=None,
        estimated_tokens=0,
    )
    parts.gate.before(arrival)


def _is_loopback(request: Request) -> bool:
    """Asked by this machine under its own name, and not by a proxy on it for somebody else."""
    client = request.client
    if client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        is_here = ipaddress.ip_address(client.host).is_loopback
    except ValueError:
        return False
    return is_here and is_local_name(request.headers.get("host", ""))
