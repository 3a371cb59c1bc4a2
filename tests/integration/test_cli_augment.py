"""`guidealign author augment` as people run it."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import Engine

from tests.fakes.model_server import serve_model
from tests.fakes.program import run_program
from tests.integration.test_augmentation import inventive, rows


@pytest.fixture(autouse=True)
def configured(engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    del engine
    monkeypatch.setenv("GUIDEALIGN_DATABASE_URL", database_url)


def run(*arguments: str) -> tuple[int, str, str]:
    done = run_program("author", "augment", *arguments)
    return done.returncode, done.stdout, done.stderr


def test_dry_run_shows_what_is_missing_and_asks_nobody(engine: Engine) -> None:
    code, out, _ = run("--dry-run", "--json", "--target", "3")
    assert code == 0
    # 14 risks, of which none has an input.
    assert set(json.loads(out).values()) == {3}
    assert len(json.loads(out)) == 14
    code, out, _ = run("--dry-run", "--category", "Insult")
    assert (code, out.split()) == (0, ["Insult", "100"])
    assert rows(engine, "select count(*) from core.ingest_batches") == [(0,)]


def test_a_run_ends_with_a_table_and_the_next_has_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serve_model(inventive) as server:
        monkeypatch.setenv("GUIDEALIGN_SAFETY__BASE_URL", server.base_url)
        given = ("--category", "Insult", "--category", "Mental_Health", "--target", "2")
        code, out, _ = run(*given)
        assert code == 0
        assert "Mental_Health" in out
        assert out.count("has what it should have") == 2
        code, out, _ = run(*given)
        assert (code, out.strip()) == (
            0,
            "nothing is missing: every category has what it should have",
        )
        code, out, _ = run(*given, "--json")
        assert json.loads(out)["run_id"] is None


def test_wrong_category_is_refused() -> None:
    code, out, err = run("--category", "Insults")
    assert (code, out) == (2, "")
    assert err.startswith("guidealign: there is no category 'Insults'")


def test_without_an_endpoint_it_says_so() -> None:
    code, _, err = run("--category", "Insult")
    assert code == 2
    assert "no model endpoint is configured for augment" in err
