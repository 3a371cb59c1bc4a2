"""Stages in this process: turns, another try after what may pass, and what runs in any case."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine

from guidealign.cycle import Context, Services, Stage, Step, run_stage
from guidealign.errors import BadInputError, ServiceUnavailableError
from guidealign.settings import Settings


@pytest.fixture
def context(engine: Engine) -> Context:
    services = Services(engine=engine, settings=Settings(), registry=None)  # type: ignore[arg-type]
    return Context(services=services, actor="test", run_key="test")


def _stage(*steps: Step, alone: bool = True) -> Stage:
    return Stage(
        name="tried", about="A stage of the tests.", steps=steps, reads=None, writes="inputs",
        tags=(), summary=str, alone=alone,
    )  # fmt: skip


def _step(name: str, run: Any, **given: Any) -> Step:
    return Step(name=name, run=run, about="A step of the tests.", **given)


def test_results_go_from_step_to_step_and_a_list_is_run_over(context: Context) -> None:
    stage = _stage(
        _step("plan", lambda _: [{"n": 1}, {"n": 2}]),
        _step("work", lambda _, n: 10 * n, over="plan"),
        _step("total", lambda _, work: sum(work), takes=("work",)),
    )
    assert run_stage(stage, context) == {
        "plan": [{"n": 1}, {"n": 2}],
        "work": [10, 20],
        "total": 30,
    }
    assert run_stage(stage, context, only=["total"], results={"work": [5]})["total"] == 5


def test_what_always_runs_does_so_with_what_was_done_by_then(context: Context) -> None:
    recorded = []

    def work(_: Context, n: int) -> int:
        if n == 2:
            raise BadInputError("no")
        return n

    stage = _stage(
        _step("plan", lambda _: [{"n": 1}, {"n": 2}]),
        _step("work", work, over="plan"),
        _step("total", lambda _, work: sum(work), takes=("work",)),
        _step("record", lambda _, work: recorded.append(work), takes=("work",), always=True),
    )
    with pytest.raises(BadInputError, match="no"):
        run_stage(stage, context)
    assert recorded == [[1]]


def test_what_may_pass_is_tried_again_and_what_cannot_is_not(context: Context) -> None:
    tries = []

    def away(_: Context) -> int:
        tries.append("try")
        if len(tries) < 3:
            raise ServiceUnavailableError("away", retry_after_s=0.01)
        return len(tries)

    said: list[str] = []
    stage = _stage(_step("ask", away))
    with pytest.raises(ServiceUnavailableError):
        run_stage(stage, context)
    done = run_stage(stage, context, retries=5, watch=lambda _, state: said.append(state))
    assert done == {"ask": 3}
    assert said == ["running", "again in 0 s: away", "success"]

    def wrong(_: Context) -> None:
        tries.append("wrong")
        raise BadInputError("no")

    with pytest.raises(BadInputError):
        run_stage(_stage(_step("ask", wrong)), context, retries=5)
    assert tries.count("wrong") == 1


@pytest.mark.parametrize("alone", [True, False], ids=["one at a time", "shared"])
def test_a_second_run_waits_for_its_turn_where_a_stage_is_one_at_a_time(
    context: Context, alone: bool
) -> None:
    inside, leave = threading.Event(), threading.Event()
    order = []

    def first(_: Context) -> None:
        inside.set()
        leave.wait(30)
        order.append("first")

    def watch(_: Step, state: str) -> None:
        order.append(state)
        if state == "waiting for another run":
            leave.set()

    thread = threading.Thread(
        target=run_stage, args=(_stage(_step("a", first), alone=alone), context)
    )
    thread.start()
    assert inside.wait(30)
    second = _stage(_step("b", lambda _: order.append("second")), alone=alone)
    run_stage(second, replace(context, actor="other"), watch=watch)
    leave.set()
    thread.join(30)
    waited = ["running", "waiting for another run", "first", "second", "success"]
    assert order == (waited if alone else ["running", "second", "success", "first"])
