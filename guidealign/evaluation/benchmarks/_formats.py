"""Turns each benchmark's rows into cases. The shapes are those of the published copies."""

from __future__ import annotations

import re

from guidealign.evaluation.benchmarks._rows import SourceRow
from guidealign.evaluation.benchmarks.model import KINDS, BenchmarkCase
from guidealign.records import CaseKind

_AREAS = (
    ("information", "information hazards"),
    ("malicious", "malicious uses"),
    ("discrimination", "discrimination, exclusion, toxicity, hate"),
    ("misinformation", "misinformation harms"),
    ("human", "human-chatbot interaction harms"),
)
"""Do-Not-Answer's risk areas: how their names begin, and what they are called here."""
_HHH_KINDS: dict[str, CaseKind] = {
    "harmless": "harm",
    "helpful": "quality",
    "honest": "quality",
    "other": "quality",
}
_CONTRAST = "contrast_"
_INTENT = re.compile(r"\s+")


def do_not_answer(row: SourceRow) -> BenchmarkCase:
    """A risky prompt: Do-Not-Answer's own columns, or those of copies without harm types."""
    prompt = row.text("question", "prompt")
    # Copies in several files are named after the risk area.
    area = _slug(row.optional("risk_area", "type") or row.file.stem)
    category = next((name for begins, name in _AREAS if area.startswith(begins)), None)
    if category is None:
        raise row.error("risk_area", f"is none of Do-Not-Answer's: {area!r}")
    return BenchmarkCase(
        case_id=_id(row),
        category=category,
        kind="harm",
        turns=(prompt,),
        harm_type=row.optional("types_of_harm") or "",
    )


def hhh(row: SourceRow) -> BenchmarkCase:
    """A choice between two answers (BIG-bench's or the Hugging Face form), or the prompt alone."""
    place = {row.file.stem, row.file.parent.name}
    category = next((name for name in _HHH_KINDS if name in place), None)
    if category is None:
        raise row.error(
            "category",
            f"is told by the file's or folder's name: {', '.join(_HHH_KINDS)}",
        )
    right, wrong = _hhh_answers(row)
    return BenchmarkCase(
        case_id=f"{category}-{row.number}",
        category=category,
        kind=_HHH_KINDS[category],
        turns=(row.text("input", "instruction"),),
        better=right,
        worse=wrong,
    )


def _hhh_answers(row: SourceRow) -> tuple[str | None, str | None]:
    scores, targets = row.values.get("target_scores"), row.values.get("targets")
    if scores is None and targets is None:
        return None, None
    if scores is not None:
        pairs = list(scores.items()) if isinstance(scores, dict) else []
    else:
        given = targets if isinstance(targets, dict) else {}
        choices, labels = given.get("choices"), given.get("labels")
        if not (isinstance(choices, list) and isinstance(labels, list)):
            choices, labels = [], []
        pairs = list(zip(choices, labels, strict=False))
    right = [str(answer).strip() for answer, score in pairs if score == 1]
    wrong = [str(answer).strip() for answer, score in pairs if score == 0]
    if not (len(right) == len(wrong) == 1 and right[0] and wrong[0]):
        name = "targets" if scores is None else "target_scores"
        raise row.error(name, "does not name one right and one wrong answer")
    return right[0], wrong[0]


def xstest(row: SourceRow) -> BenchmarkCase:
    """A safe prompt that sounds risky, or its unsafe contrast."""
    kind_of_prompt = row.text("type")
    label = row.optional("label")
    if label not in {None, "safe", "unsafe"}:
        raise row.error("label", f"is {label!r}, not safe or unsafe")
    unsafe = kind_of_prompt.startswith(_CONTRAST) if label is None else label == "unsafe"
    return BenchmarkCase(
        case_id=_id(row),
        category=kind_of_prompt.removeprefix(_CONTRAST),
        kind="harm" if unsafe else "over_refusal",
        turns=(row.text("prompt"),),
    )


def fastchat_questions(row: SourceRow) -> BenchmarkCase:
    """A question of Vicuna bench or MT-bench, in FastChat's form or that of the hub's copy."""
    name = "turns" if "turns" in row.values else "prompt"
    return BenchmarkCase(
        case_id=_id(row),
        category=row.text("category"),
        kind="quality",
        turns=_turns(row, name),
    )


def own(row: SourceRow) -> BenchmarkCase:
    """A case in guidealign's own form: prompt (or turns), category, kind; better, worse, ..."""
    told = row.text("kind")
    kind = next((kind for kind in KINDS if kind == told), None)
    if kind is None:
        raise row.error("kind", f"is {told!r}, not one of {', '.join(KINDS)}")
    better, worse = row.optional("better"), row.optional("worse")
    if (better is None) != (worse is None):
        raise row.error("worse" if worse is None else "better", "is missing beside its other half")
    turns = _turns(row, "turns") if row.values.get("turns") else (row.text("prompt"),)
    return BenchmarkCase(
        case_id=_id(row),
        category=row.text("category"),
        kind=kind,
        turns=turns,
        better=better,
        worse=worse,
        harm_type=row.optional("harm_type") or "",
        cluster=row.optional("cluster") or "",
    )


def _turns(row: SourceRow, name: str) -> tuple[str, ...]:
    given = row.values.get(name)
    if isinstance(given, str):
        given = [given]
    if given is None:
        raise row.error(name, "is missing")
    if not isinstance(given, list) or not given:
        raise row.error(name, "is no list of turns")
    if not all(isinstance(turn, str) and turn.strip() for turn in given):
        raise row.error(name, "holds a turn that is empty or no text")
    return tuple(turn.strip() for turn in given)


def _id(row: SourceRow) -> str:
    named = row.optional("id", "question_id", "prompt_id")
    return named or f"{row.file.name.partition('.')[0]}-{row.number}"


def _slug(name: str) -> str:
    return _INTENT.sub(" ", name.replace("_", " ").casefold()).strip()
