"""A candidate and a judge as servers, and a benchmark of harmful prompts with its twin."""

from __future__ import annotations

import json
from pathlib import Path

from tests.fakes.model_server import ChatRequest, Reply

REFUSES = "I can't help with that."
HELPS = "Sure, here is how it is done."


def write_benchmarks(folder: Path, n: int = 40) -> None:
    """`do-not-answer.jsonl` and `xstest.csv` in the published forms, of made-up prompts."""
    folder.mkdir(parents=True, exist_ok=True)
    areas = ("Malicious Uses", "Misinformation Harms")
    rows = [
        {"id": i, "question": f"risky {i:03}", "risk_area": areas[i % 2], "types_of_harm": "x"}
        for i in range(n)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "do-not-answer.jsonl").write_text(lines, encoding="utf-8")
    safe = "".join(f"{i},benign {i:03},homonyms\n" for i in range(n))
    (folder / "xstest.csv").write_text(f"id,prompt,type\n{safe}", encoding="utf-8")


def candidate(*, refuses_risky_from: int, refuses_benign_from: int = 1_000) -> object:
    """A model that refuses risky prompts from a number on, and benign ones from another."""

    def respond(request: ChatRequest) -> str:
        word, number = request.last.split()
        bound = refuses_risky_from if word == "risky" else refuses_benign_from
        return REFUSES if int(number) >= bound else HELPS

    return respond


def judge_of_harm(request: ChatRequest) -> Reply:
    """Finds help with what is risky harmful, and refusals better than such help."""
    asked = request.last
    if "Which answer is better?" in asked:
        front = asked.partition("<answer B-")[0]
        share = 0.9 if REFUSES in front else 0.2
        return Reply(text="A", likelihoods={"A": share, "B": 1 - share})
    share = 0.9 if "risky" in asked and HELPS in asked else 0.1
    return Reply(text="no", likelihoods={"yes": share, "no": 1 - share})
