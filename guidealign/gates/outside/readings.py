"""Reads the scores of cases from logs of other tools: which tool it was is told by the file."""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guidealign.errors import BadInputError

_GRADES = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0, "yes": 1.0, "no": 0.0}
"""inspect_ai's marks: correct, incorrect, partly, no answer."""
_CASE_NAMES = ("case", "case_id", "id")
_SCORE_NAMES = ("score", "value")
_LM_EVAL_MARK = "doc_id"
_PROMPTFOO_ERROR = 2
"""promptfoo's `failureReason` of an error; 1 is an assertion that does not hold."""


class _SeveralSidesError(Exception):
    """One file, and more than one model or prompt in it."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One case of a file with all its scores."""

    case_id: str
    scores: Mapping[str, float | None]
    """By metric; None: the tool gave none."""
    cluster: str | None = None
    category: str = "all"
    kind: str | None = None
    """None: the file tells no kinds."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """All cases of a file."""

    source: str
    """The tool, such as `inspect_ai`."""
    readings: tuple[Reading, ...]

    @property
    def metrics(self) -> list[str]:
        """Names of what was scored, sorted."""
        return sorted({name for one in self.readings for name in one.scores})


def read_results(file: Path) -> Results:
    """Reads a file of inspect_ai, lm-eval, promptfoo, MLflow, or plain rows of cases and scores.

    Raises:
        BadInputError: it is none of these, or says of a case what cannot be.
        OSError: it cannot be read.
    """
    try:
        source, readings = _read(file)
    except _SeveralSidesError as error:
        raise BadInputError(f"{file} {error}") from error
    except (UnicodeDecodeError, json.JSONDecodeError, zipfile.BadZipFile) as error:
        raise BadInputError(f"{file} cannot be read as results: {error}") from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadInputError(f"{file} is not complete: {error!r}") from error
    if not readings:
        raise BadInputError(f"{file} holds no cases")
    return Results(source=source, readings=tuple(readings))


def _read(file: Path) -> tuple[str, list[Reading]]:
    if file.suffix == ".parquet":
        # Takes a moment to load, and few files are of it.
        from pyarrow import parquet

        return "rows", [_row(row, file) for row in parquet.read_table(file).to_pylist()]
    if zipfile.is_zipfile(file):
        return "inspect_ai", list(_of_inspect(_zipped_samples(file)))
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".jsonl":
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        if rows and _LM_EVAL_MARK in rows[0] and "metrics" in rows[0]:
            return "lm-eval", [_of_lm_eval(row) for row in rows]
        return "rows", [_row(row, file) for row in rows]
    content = json.loads(text)
    for source, fits, read in _DOCUMENTS:
        if fits(content):
            return source, list(read(content))
    if isinstance(content, list):
        return "rows", [_row(row, file) for row in content]
    raise BadInputError(
        f"{file} is no log of inspect_ai, lm-eval (samples_*.jsonl), promptfoo or MLflow, nor rows"
        " with `case` and `score`"
    )


def _row(row: Mapping[str, Any], file: Path) -> Reading:
    """A plain row: `case` and `score`, or a column for each metric that is a number."""
    name = next((key for key in _CASE_NAMES if key in row), None)
    if name is None:
        raise BadInputError(f"{file}: a row has no `case`, but {', '.join(row) or 'nothing'}")
    told = {*_CASE_NAMES, "cluster", "category", "kind"}
    scores = {
        "score" if key in _SCORE_NAMES else key: _number(value)
        for key, value in row.items()
        if key not in told and (value is None or isinstance(value, int | float))
    }
    if not scores:
        raise BadInputError(f"{file}: case {row[name]} has no `score` that is a number")
    return Reading(
        case_id=str(row[name]),
        scores=scores,
        cluster=None if row.get("cluster") is None else str(row["cluster"]),
        category=str(row.get("category") or "all"),
        kind=row.get("kind"),
    )


def _number(value: Any) -> float | None:
    """A score, None where there is none; marks in words are those of inspect_ai."""
    if isinstance(value, str) and value in _GRADES:
        return _GRADES[value]
    if value is None or isinstance(value, str | list | dict):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _zipped_samples(file: Path) -> Iterator[dict[str, Any]]:
    with zipfile.ZipFile(file) as archive:
        for name in sorted(archive.namelist()):
            if name.startswith("samples/") and name.endswith(".json"):
                yield json.loads(archive.read(name))


def _of_inspect(samples: Iterator[dict[str, Any]]) -> Iterator[Reading]:
    """Epochs of a sample are cases of one cluster."""
    for sample in samples:
        scores: dict[str, float | None] = {}
        for scorer, score in (sample.get("scores") or {}).items():
            value = score["value"]
            if isinstance(value, dict):
                scores |= {f"{scorer}/{key}": _number(part) for key, part in value.items()}
            else:
                scores[scorer] = _number(value)
        metadata = sample.get("metadata") or {}
        yield Reading(
            case_id=f"{sample['id']}/{sample.get('epoch', 1)}",
            scores=scores,
            cluster=str(sample["id"]),
            category=str(metadata.get("category") or "all"),
        )


def _of_lm_eval(row: dict[str, Any]) -> Reading:
    """One filter of a document; its hash says whether both sides were asked the same."""
    asked = str(row.get("doc_hash") or "")[:12]
    name = f"{row['doc_id']}" + (f"-{asked}" if asked else "")
    return Reading(
        case_id=f"{name}/{row.get('filter', 'none')}",
        scores={metric: _number(row.get(metric)) for metric in row["metrics"]},
        cluster=name,
    )


def _of_promptfoo(content: dict[str, Any]) -> Iterator[Reading]:
    rows = content["results"]["results"]
    asked = {(_label(row.get("provider")), row.get("promptIdx", 0)) for row in rows}
    if len(asked) > 1:
        names = ", ".join(f"{provider} with prompt {prompt}" for provider, prompt in sorted(asked))
        raise _SeveralSidesError(
            f"holds several sides ({names}): write one file for each, with --filter-providers and"
            " one prompt"
        )
    for row in rows:
        variables = json.dumps(row.get("vars") or {}, sort_keys=True, default=str)
        of_vars = hashlib.sha256(variables.encode()).hexdigest()[:12]
        said = {"pass": row.get("success"), "score": row.get("score")}
        said |= row.get("namedScores") or {}
        failed = _failed_in_promptfoo(row)
        yield Reading(
            case_id=f"{row.get('testIdx', '')}-{of_vars}",
            scores={name: None if failed else _number(value) for name, value in said.items()},
            cluster=of_vars,
        )


def _failed_in_promptfoo(row: dict[str, Any]) -> bool:
    """Whether provider or grader failed: promptfoo writes a score of 0 then, which nobody gave."""
    response = row.get("response")
    return (
        row.get("failureReason") == _PROMPTFOO_ERROR
        or (isinstance(response, dict) and bool(response.get("error")))
        or (bool(row.get("error")) and response is None)
    )


def _label(provider: Any) -> str:
    if isinstance(provider, dict):
        return str(provider.get("label") or provider.get("id"))
    return str(provider)


def _of_mlflow(content: dict[str, Any]) -> Iterator[Reading]:
    """An evaluation table as MLflow logs it: the first columns say what was asked."""
    columns = [str(name) for name in content["columns"]]
    for number, row in enumerate(content["data"]):
        cells = dict(zip(columns, row, strict=True))
        asked = cells.get("inputs", cells.get("request_id", cells.get("question", number)))
        said = json.dumps(asked, sort_keys=True, default=str)
        name = hashlib.sha256(said.encode()).hexdigest()[:12]
        yield Reading(
            case_id=str(cells.get("case") or name),
            scores={
                column: _number(value)
                for column, value in cells.items()
                if isinstance(value, int | float) and column != "case"
            },
        )


_DOCUMENTS: tuple[tuple[str, Callable[[Any], bool], Callable[[Any], Iterator[Reading]]], ...] = (
    (
        "inspect_ai",
        lambda c: isinstance(c, dict) and "eval" in c and "samples" in c,
        lambda c: _of_inspect(iter(c["samples"] or [])),
    ),
    (
        "promptfoo",
        lambda c: (
            isinstance(c, dict)
            and isinstance(c.get("results"), dict)
            and isinstance(c["results"].get("results"), list)
        ),
        _of_promptfoo,
    ),
    (
        "MLflow",
        lambda c: isinstance(c, dict) and {"columns", "data"} <= c.keys(),
        _of_mlflow,
    ),
)
