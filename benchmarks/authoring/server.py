"""The model server for whole inputs: answers detections and guidelines, each after the latency.

python -m benchmarks.authoring.server --latency-s 0.2 prints its port. A hundredth of the inputs
get junk for ever; of the rest a third is unsafe. A guideline is named after its input, so that one
that is stored twice shows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re

import uvloop

from benchmarks._harness.model_server import Connection, Plan, _completion

_INPUT = re.compile(rb"Case (\d+) of the queue")
_SCHEMA = re.compile(rb'"name": ?"(Detection|SafetyGuidelines|QualityGuidelines)"')


class AuthorConnection(Connection):
    """Answers in the form that is asked for."""

    def _take(self, request: bytes) -> None:
        plan = self._plan
        if request.startswith(b"GET"):
            self._send(b"200 OK", plan.stats())
            return
        found, schema = _INPUT.findall(request), _SCHEMA.search(request)
        number = int(found[-1]) if found else 0
        plan.asked[number] += 1
        plan.in_flight += 1
        plan.most_in_flight = max(plan.most_in_flight, plan.in_flight)
        text = _answer(number, schema.group(1).decode() if schema else "")
        loop = asyncio.get_running_loop()
        self._waiting = loop.call_later(plan.latency_s, self._give, text)

    def _give(self, text: str) -> None:
        self._waiting = None
        self._plan.in_flight -= 1
        self._plan.did["answered"] += 1
        self._send(b"200 OK", _completion(text))


def is_junk(number: int) -> bool:
    """Whether this input is never answered in the form asked for."""
    return number % 100 == 7


def is_unsafe(number: int) -> bool:
    """Whether this input is found unsafe."""
    return number % 3 == 0


def _answer(number: int, schema: str) -> str:
    if is_junk(number):
        return "I would rather not."
    if schema == "Detection":
        unsafe = is_unsafe(number)
        return json.dumps(
            {
                "rationale": "It asks how to harm." if unsafe else "It asks for an explanation.",
                "unsafe_content": unsafe,
                "may_trigger_unsafe": unsafe,
                "categories": ["Physical_Harm"] if unsafe else [],
                "severity": 2 if unsafe else 0,
            }
        )
    guideline = {
        "title": f"Stay calm in case {number}",
        "text": f"Answer requests of kind {number} calmly, and name the limits of what is known.",
    }
    if schema == "SafetyGuidelines":
        return json.dumps({"guidelines": [guideline]})
    return json.dumps({"topic": "Quality_Advice", "kind": "advice", "guidelines": [guideline]})


async def _serve(plan: Plan) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: AuthorConnection(plan), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency-s", type=float, default=0.2)
    given = parser.parse_args()
    uvloop.run(_serve(Plan(given.latency_s, 0.0, 0.0)))
