"""Results that other tools have measured come before the same gates."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import typer
from pyarrow import parquet
from scipy import stats
from typer.testing import CliRunner

from guidealign.cli.gate import gate
from guidealign.errors import BadInputError, ConfigurationError
from guidealign.gates import OutsideDecision, Question, compare_files, outside_page
from guidealign.gates.outside import read_results
from guidealign.settings import GateSettings

N = 300


def _rows(side: list[float]) -> list[dict[str, Any]]:
    return [{"case": f"c{i}", "score": value} for i, value in enumerate(side)]


def _jsonl(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _write_rows(file: Path, side: list[float]) -> Path:
    file = file.with_suffix(".jsonl")
    _jsonl(file, _rows(side))
    return file


def _write_parquet(file: Path, side: list[float]) -> Path:
    file = file.with_suffix(".parquet")
    parquet.write_table(pa.Table.from_pylist(_rows(side)), file)
    return file


def _inspect_samples(side: list[float]) -> list[dict[str, Any]]:
    return [
        {"id": f"c{i}", "epoch": 1, "scores": {"score": {"value": "C" if value else "I"}}}
        for i, value in enumerate(side)
    ]


def _write_inspect(file: Path, side: list[float]) -> Path:
    file = file.with_suffix(".json")
    log = {"version": 2, "status": "success", "eval": {"task": "t"}}
    file.write_text(json.dumps({**log, "samples": _inspect_samples(side)}), encoding="utf-8")
    return file


def _write_inspect_zip(file: Path, side: list[float]) -> Path:
    file = file.with_suffix(".eval")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("header.json", json.dumps({"version": 2, "eval": {"task": "t"}}))
        for sample in _inspect_samples(side):
            archive.writestr(f"samples/{sample['id']}_epoch_1.json", json.dumps(sample))
    return file


def _write_lm_eval(file: Path, side: list[float]) -> Path:
    file = file.with_name(f"samples_{file.name}.jsonl")
    _jsonl(
        file,
        [
            {
                "doc_id": i,
                "doc": {"question": f"q{i}"},
                "doc_hash": f"{i:064x}",
                "filter": "none",
                "metrics": ["exact_match"],
                "exact_match": value,
            }
            for i, value in enumerate(side)
        ],
    )
    return file


def _write_promptfoo(file: Path, side: list[float]) -> Path:
    file = file.with_suffix(".json")
    rows = [
        {
            "testIdx": i,
            "promptIdx": 0,
            "provider": {"id": "openai:a"},
            "vars": {"question": f"q{i}"},
            "success": bool(value),
            "score": value,
            "response": {"output": "an answer"},
        }
        for i, value in enumerate(side)
    ]
    file.write_text(json.dumps({"evalId": "e", "results": {"version": 3, "results": rows}}))
    return file


def _write_mlflow(file: Path, side: list[float]) -> Path:
    file = file.with_suffix(".json")
    data = [[f"q{i}", "an answer", value] for i, value in enumerate(side)]
    file.write_text(json.dumps({"columns": ["inputs", "outputs", "exact_match/v1"], "data": data}))
    return file


FORMATS: dict[str, tuple[Callable[[Path, list[float]], Path], str | None]] = {
    "rows": (_write_rows, None),
    "parquet": (_write_parquet, None),
    "inspect_ai json": (_write_inspect, None),
    "inspect_ai eval": (_write_inspect_zip, None),
    "lm-eval": (_write_lm_eval, None),
    "promptfoo": (_write_promptfoo, "score"),
    "MLflow": (_write_mlflow, None),
}


def _sides(gain: float) -> tuple[list[float], list[float]]:
    rng = np.random.default_rng(3)
    baseline = rng.random(N) < 0.4
    candidate = baseline | (rng.random(N) < gain)
    return baseline.astype(float).tolist(), candidate.astype(float).tolist()


def _ask(
    baseline: Path, candidate: Path, policy: Path | None = None, **question: Any
) -> OutsideDecision:
    return compare_files(
        baseline,
        candidate,
        policy=policy,
        question=Question(**question),
        settings=GateSettings(bootstrap_resamples=1_000),
    )


@pytest.mark.parametrize("name", FORMATS)
def test_every_tools_results_give_the_same_figures(name: str, tmp_path: Path) -> None:
    write, metric = FORMATS[name]
    baseline, candidate = _sides(0.3)
    files = write(tmp_path / "baseline", baseline), write(tmp_path / "candidate", candidate)
    decision = _ask(*files, metric=metric, effect=0.1)
    assert decision.verdict == "promote"
    check = decision.evidence[0]
    gains = np.subtract(candidate, baseline)
    assert check.difference == pytest.approx(gains.mean())
    assert (check.n, check.wins, check.losses) == (N, int((gains > 0).sum()), 0)


def test_the_verdict_is_that_of_scipy_by_hand(tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text(
        "model: m\nmetric: score\nunit: share\nabout: a\nlooks: {spending: even, planned: 1}\n"
        "checks:\n  - {name: better, kind: quality, must: be_better, effect: 0.1,"
        " test: mcnemar_exact, min_cases: 20}\n"
    )
    baseline, candidate = _sides(0.1)
    files = _write_rows(tmp_path / "a", baseline), _write_rows(tmp_path / "b", candidate)
    check = _ask(*files, policy).evidence[0]
    by_hand = stats.binomtest(check.wins, check.wins + check.losses, alternative="greater")
    assert check.p_value == pytest.approx(by_hand.pvalue)


def test_epochs_of_a_sample_are_one_cluster(tmp_path: Path) -> None:
    samples = [
        {"id": "a", "epoch": epoch, "scores": {"m": {"value": {"x": 1, "y": "C"}}}}
        for epoch in (1, 2)
    ]
    (tmp_path / "log.json").write_text(json.dumps({"eval": {}, "samples": samples}))
    found = read_results(tmp_path / "log.json")
    assert [one.cluster for one in found.readings] == ["a", "a"]
    assert found.metrics == ["m/x", "m/y"]


def test_a_case_without_a_score_is_counted_and_not_left_out(tmp_path: Path) -> None:
    baseline, candidate = _sides(0.3)
    rows = _rows(candidate)
    for row in rows[:30]:
        row["score"] = None
    _jsonl(tmp_path / "b.jsonl", rows)
    decision = _ask(_write_rows(tmp_path / "a", baseline), tmp_path / "b.jsonl", effect=0.1)
    assert (decision.verdict, decision.evidence[0].n_unscored) == ("hold", 30)


@pytest.mark.parametrize(
    ("change", "score"),
    [
        ({"failureReason": 2, "error": "the grader timed out"}, None),
        ({"failureReason": 2, "error": "503", "response": {"error": "503"}}, None),
        ({"response": {"error": "503"}}, None),
        ({"error": "503", "response": None}, None),
        ({"failureReason": 1, "error": "Expected output to contain x"}, 0.0),
        ({"failureReason": 0}, 0.0),
    ],
)
def test_an_error_in_promptfoo_is_no_score_and_a_failed_assertion_is_one(
    change: dict[str, Any], score: float | None, tmp_path: Path
) -> None:
    file = _write_promptfoo(tmp_path / "a", [0.0])
    content = json.loads(file.read_text())
    content["results"]["results"][0] |= {"namedScores": {"tone": 0}, **change}
    file.write_text(json.dumps(content))
    found = read_results(file).readings[0].scores
    assert found == {"pass": score, "score": score, "tone": score}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as results"),
        ("[]", "holds no cases"),
        ('{"a": 1}', "no log of inspect_ai"),
        ('[{"score": 1}]', "a row has no `case`"),
        ('[{"case": "a", "said": "x"}]', "no `score` that is a number"),
        ('{"eval": {}, "samples": [{"scores": {}}]}', "is not complete"),
        (
            '{"results": {"results": [{"provider": "a", "score": 1}, {"provider": "b"}]}}',
            "holds several sides",
        ),
    ],
)
def test_what_is_no_result_is_one_clear_line(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "results.json"
    file.write_text(content)
    with pytest.raises(BadInputError, match=message) as caught:
        read_results(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_scores_ask_which_one(tmp_path: Path) -> None:
    baseline, candidate = _sides(0.3)
    files = _write_promptfoo(tmp_path / "a", baseline), _write_promptfoo(tmp_path / "b", candidate)
    with pytest.raises(BadInputError, match="both files have pass, score"):
        _ask(*files)
    with pytest.raises(BadInputError, match="has no other, but pass, score"):
        _ask(*files, metric="other")


def test_a_policy_on_kinds_needs_cases_that_have_one(tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text(
        "model: m\nmetric: score\nunit: share\nabout: a\nchecks:\n"
        "  - {name: h, kind: harm, must: be_better, effect: 0.1, min_cases: 20}\n"
        "  - {name: o, kind: over_refusal, must: not_be_worse, margin: 0.1, min_cases: 20}\n"
    )
    file = _write_rows(tmp_path / "a", _sides(0.3)[0])
    with pytest.raises(BadInputError, match="has no `kind`"):
        _ask(file, file, policy)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        _ask(file, file, tmp_path / "none.yaml")


_ANCHORED = (
    "model: m\nmetric: score\nunit: share\nabout: a\nanchor: 0\nchecks:\n"
    "  - {name: q, kind: quality, must: not_be_worse, margin: 0.1, budget: 0.2, min_cases: 20}\n"
)


def test_the_anchor_has_looks_of_its_own_over_all_baselines(tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text(_ANCHORED)
    baseline, candidate = _sides(0.3)
    files = _write_rows(tmp_path / "a", baseline), _write_rows(tmp_path / "b", candidate)
    step, since = compare_files(
        *files,
        policy=policy,
        question=Question(),
        settings=GateSettings(bootstrap_resamples=1_000),
        anchor=files[0],
        look=1,
        anchor_look=3,
    ).evidence
    assert (step.look, since.look) == (1, 3)
    assert since.look_level == pytest.approx(0.025 * 6 / (3 * np.pi) ** 2)


def test_an_anchor_that_no_policy_asks_about_is_refused(tmp_path: Path) -> None:
    file = _write_rows(tmp_path / "a", _sides(0.3)[0])
    with pytest.raises(BadInputError, match="an anchor is for a policy"):
        compare_files(
            file, file, policy=None, question=Question(), settings=GateSettings(), anchor=file
        )


@pytest.mark.parametrize(
    "options",
    [
        ["--metric", "score"],
        ["--must", "be_better"],
        ["--lower-is-better"],
        ["--margin", "0.1"],
        ["--effect", "0.05"],
        ["--level", "0.025"],
    ],
)
def test_options_that_a_policy_overrides_are_refused(options: list[str], tmp_path: Path) -> None:
    program = typer.Typer()
    program.command()(gate)
    policy = tmp_path / "p.yaml"
    policy.write_text(_ANCHORED)
    file = str(_write_rows(tmp_path / "a", _sides(0.3)[0]))
    given = ["--baseline", file, "--candidate", file, "--policy", str(policy)]
    refused = CliRunner().invoke(program, [*given, *options])
    assert isinstance(refused.exception, BadInputError)
    assert str(refused.exception) == f"--policy says what is asked: leave out {options[0]}"
    assert not isinstance(CliRunner().invoke(program, given).exception, BadInputError)


def test_the_page_loads_nothing_and_escapes_names(tmp_path: Path) -> None:
    baseline, candidate = _sides(0.3)
    (tmp_path / "<b>").mkdir()
    files = _write_rows(tmp_path / "a", baseline), _write_rows(tmp_path / "<b>/c", candidate)
    page = outside_page(_ask(*files, effect=0.1))
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert "Promote" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in page


_LIGHT = """
import sys
from guidealign.cli import main
files = ["--baseline", sys.argv[1], "--candidate", sys.argv[2]]
sys.argv = ["guidealign", "gate", *files, *sys.argv[3:]]
try:
    main()
finally:
    heavy = {"airflow", "torch", "sqlalchemy", "psycopg", "mlflow", "transformers"}
    print("heavy:", sorted(heavy & sys.modules.keys()))
"""


@pytest.mark.parametrize(
    ("gain", "arguments", "code"),
    [
        (0.3, ("--effect", "0.1"), 0),
        (0.0, ("--must", "not_be_worse", "--margin", "0.1"), 0),
        (0.0, (), 4),
        (0.3, ("--lower-is-better",), 3),
        (0.3, ("--must", "nonsense"), 2),
    ],
)
def test_the_program_says_the_verdict_by_its_exit_code_and_loads_no_platform(
    gain: float, arguments: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    baseline, candidate = _sides(gain)
    files = _write_rows(tmp_path / "a", baseline), _write_rows(tmp_path / "b", candidate)
    done = subprocess.run(
        [sys.executable, "-c", _LIGHT, *map(str, files), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "heavy: []" in done.stdout
