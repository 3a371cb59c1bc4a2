"""`guidealign author augment` as people run it."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest
import structlog
from sqlalchemy import Engine

from guidealign.cli import main
from tests.fakes.model_server import serve_model
from tests.integration.test_augmentation import inventive, rows


@pytest.fixture(autouse=True)
def configured(engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    del engine
    monkeypatch.setenv("GUIDEALIGN_DATABASE_URL", database_url)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "argv", ["guidealign", "author", "augment", *arguments])
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    structlog.reset_defaults()
    return code, out.getvalue(), err.getvalue()


def test_dry_run_shows_what_is_missing_and_asks_nobody(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = run(monkeypatch, "--dry-run", "--json", "--target", "3")
    assert code == 0
    # 14 risks, of which none has an input.
    assert set(json.loads(out).values()) == {3}
    assert len(json.loads(out)) == 14
    code, out, _ = run(monkeypatch, "--dry-run", "--category", "Insult")
    assert (code, out.split()) == (0, ["Insult", "100"])
    assert rows(engine, "select count(*) from core.ingest_batches") == [(0,)]


def test_a_run_ends_with_a_table_and_the_next_has_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serve_model(inventive) as server:
        monkeypatch.setenv("GUIDEALIGN_SAFETY__BASE_URL", server.base_url)
        given = ("--category", "Insult", "--category", "Mental_Health", "--target", "2")
        code, out, _ = run(monkeypatch, *given)
        assert code == 0
        assert "Mental_Health" in out
        assert out.count("has what it should have") == 2
        code, out, _ = run(monkeypatch, *given)
        assert (code, out.strip()) == (
            0,
            "nothing is missing: every category has what it should have",
        )
        code, out, _ = run(monkeypatch, *given, "--json")
        assert json.loads(out)["run_id"] is None


def test_wrong_category_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = run(monkeypatch, "--category", "Insults")
    assert (code, out) == (2, "")
    assert err.startswith("guidealign: there is no category 'Insults'")


def test_without_an_endpoint_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = run(monkeypatch, "--category", "Insult")
    assert code == 2
    assert "no model endpoint is configured for augment" in err
