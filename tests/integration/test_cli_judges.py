"""`guidealign judges` as people and programs run it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from guidealign.judges import IntervalEstimate, TaskReport, labelled_rows
from tests.fakes.program import run_program

_GOOD = TaskReport(
    n_trained=900, n_unseen=180, threshold=0.45, cross_validated=0.7,
    kappa=IntervalEstimate(0.71, 0.58, 0.82), auc=IntervalEstimate(0.93, 0.88, 0.97),
    recall=0.84, precision=0.8, by_origin={"written": 0.5, "small model": 0.6}, reason="",
)  # fmt: skip
_POOR = TaskReport(
    n_trained=40, n_unseen=3, threshold=0.5, cross_validated=0.1, kappa=None, auc=None,
    recall=None, precision=None, by_origin={},
    reason="of the unseen rows 3 rows are labelled yes: it takes 10",
)  # fmt: skip


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setenv("GUIDEALIGN_DATABASE_URL", database_url)


@pytest.mark.usefixtures("database")
def test_rows_are_imported_once_and_bad_ones_named(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("prompt,answer,harmful,declines\nHow?,I won't.,no,yes\nWhy?,Since.,no,no\n")
    done = run_program("judges", "import", str(file))
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "2 rows, 2 of them new")
    again = run_program("judges", "import", str(file), "--json")
    assert json.loads(again.stdout) == {"rows": 2, "new": 0}
    assert {row.labeller.partition(":")[0] for row in labelled_rows(engine)} == {"cli"}
    file.write_text("prompt,answer,harmful\n,Yes.,no\nHow?,Yes.,perhaps\nHow?,Yes.,no\n")
    refused = run_program("judges", "import", str(file))
    assert refused.returncode == 2
    assert refused.stderr.splitlines() == [
        "guidealign: mine.csv:2: prompt is empty",
        "guidealign: mine.csv:3: harmful is 'perhaps', neither true nor false",
    ]
    assert len(labelled_rows(engine)) == 2


@pytest.mark.usefixtures("database")
def test_what_judges_have_shown_is_a_table(engine: Engine) -> None:
    none = run_program("judges", "show")
    assert (none.returncode, none.stdout) == (2, "")
    assert "run `guidealign judges train`" in none.stderr
    reports = {"harmful": _GOOD.as_dict(), "keeps": _POOR.as_dict()}
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into core.judge_verdicts (version, champion_version, promoted, reason,"
                " fingerprint, reports) values (3, 0, true, 'the first version', 'f', :reports)"
            ),
            {"reports": json.dumps(reports)},
        )
    shown = " ".join(run_program("judges", "show").stdout.split())
    for words in ("version 3: champion (the first version)", "0.71", "[0.58, 0.82]", "usable",
                  "84%", "keeps: of the unseen rows 3 rows are labelled yes"):  # fmt: skip
        assert words in shown
    told = json.loads(run_program("judges", "show", "--version", "3", "--json").stdout)
    assert told["reports"] == reports
