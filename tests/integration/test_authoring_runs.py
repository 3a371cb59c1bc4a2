"""A run of several workers: shares of a budget, what was spent, and where that is to be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from sqlalchemy import Engine

from guidealign.authoring import author_batch, plan_run, record_run
from guidealign.authoring.work_queue.spending import share_of
from guidealign.errors import ConfigurationError
from guidealign.settings import BudgetSettings, Settings
from tests.fakes.mlflow_store import local_registry
from tests.fakes.model_server import serve_model
from tests.integration.authoring_fixture import RISKY, add_inputs, make_settings, well_behaved


@given(
    requests=st.none() | st.integers(0, 10_000),
    tokens=st.none() | st.integers(0, 10**9),
    n_workers=st.integers(1, 32),
)
def test_shares_never_exceed_the_whole_and_waste_less_than_one_each(
    requests: int | None, tokens: int | None, n_workers: int
) -> None:
    budget = BudgetSettings(max_requests=requests, max_tokens=tokens)
    share = share_of(budget, n_workers)
    for whole, part in ((requests, share.max_requests), (tokens, share.max_tokens)):
        if whole is None or part is None:
            assert whole is part
        else:
            assert 0 <= whole - part * n_workers < n_workers


def test_a_small_budget_starts_few_workers(engine: Engine) -> None:
    add_inputs(engine, [f"How much is {n} percent of {n * 7}?" for n in range(300)])
    settings = make_settings(None)
    # 64 inputs a worker: five; no budget, no share.
    unlimited = plan_run(BudgetSettings(), engine=engine, settings=settings)
    assert [work["batch"] for work in unlimited] == [0, 1, 2, 3, 4]
    assert BudgetSettings(**unlimited[0]["budget"]) == BudgetSettings()
    # 128 requests are what 64 inputs take: 300 are enough for two.
    two = plan_run(BudgetSettings(max_requests=300), engine=engine, settings=settings)
    assert [(work["batch"], work["budget"]["max_requests"]) for work in two] == [(0, 150), (1, 150)]
    one = plan_run(
        BudgetSettings(max_requests=3, max_cost_usd=1.5), engine=engine, settings=settings
    )
    assert [(work["budget"]["max_requests"], work["budget"]["max_cost_usd"]) for work in one] == [
        (3, 1.5)
    ]


def test_a_run_is_recorded_with_what_it_spent(engine: Engine, tmp_path: Path) -> None:
    add_inputs(engine, [RISKY, *(f"How much is {n} percent of {n * 7}?" for n in range(5))])
    budget = BudgetSettings(max_requests=12)
    with serve_model(well_behaved) as server:
        settings = make_settings(server.base_url)
        # The first worker is stopped by its share of 3 requests; its result is lost, as a killed
        # one's is, but not what it spent.
        plan_run(budget, engine=engine, settings=settings)
        given = {"engine": engine, "settings": settings, "run_key": "airflow:author/1"}
        author_batch(0, budget=BudgetSettings(max_requests=3), **given)
        second = author_batch(1, budget=BudgetSettings(max_requests=9), **given)
        assert len(server.requests) == 12
    with local_registry(tmp_path) as registry:
        note = record_run(
            [second.as_dict()],
            run_key="airflow:author/1",
            budget=budget,
            engine=engine,
            settings=settings,
            registry=registry,
        )
        client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
        experiment = client.get_experiment_by_name("guidealign-author")
        assert experiment is not None
        (run,) = client.search_runs([experiment.experiment_id])
    metrics, params = run.data.metrics, run.data.params
    assert (metrics["n_requests"], metrics["n_inputs"]) == (12, second.n_inputs)
    assert metrics["prompt_tokens"] > second.prompt_tokens > 0
    assert (params["model"], params["budget_max_requests"]) == ("expert", "12")
    assert params["safety_prompt"].startswith("safety-")
    assert "12 requests" in note
    assert run.info.run_id in note
    assert len(note) <= 1_000


def test_a_budget_in_dollars_needs_prices_and_counts_them(engine: Engine) -> None:
    add_inputs(engine, [f"How much is {n} percent of {n * 7}?" for n in range(8)])
    dollars = BudgetSettings(max_cost_usd=0.01)
    with serve_model(well_behaved) as server:
        plain = make_settings(server.base_url)
        plan_run(dollars, engine=engine, settings=plain)
        with pytest.raises(ConfigurationError, match="prices"):
            author_batch(0, engine=engine, settings=plain, budget=dollars)
        endpoint = {
            "base_url": server.base_url,
            "model": "expert",
            "prices": {"input_usd": 1.0, "output_usd": 4.0},
        }
        priced = Settings.model_validate({"safety": endpoint})
        done = author_batch(0, engine=engine, settings=priced, budget=dollars, run_key="r")
    # A dollar a million tokens read, four a million written.
    assert done.cost_usd == pytest.approx((done.prompt_tokens + 4 * done.completion_tokens) / 1e6)
    assert 0 < done.cost_usd <= 0.01
    assert done.stopped_by_budget
