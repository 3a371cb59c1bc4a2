"""How many guidelines in front of a prompt serve the bundled base best: the paper's six, or two.

The default of `retrieval.k` is chosen by this part: more prompts than the part `alignment` asks,
and nothing else is compared. Answers and verdicts are kept as they come, so a stopped run goes on.
"""

from __future__ import annotations

from benchmarks._harness.report import Figure
from benchmarks.authoring.model import bundled_model
from benchmarks.labrador.alignment import ask_base, prompts_of, retrieve_for, with_paper_k
from benchmarks.labrador.judged import (
    FEWER,
    GUIDED,
    Sides,
    declining_figures,
    harm_figures,
)
from benchmarks.labrador.kept_lines import KeptLines
from guidealign.evaluation.judges import HarmModelJudge
from guidealign.settings import load_settings

_SIZES = {True: (92, 34, 60), False: (4, 4, 5)}
"""Risky held-out prompts (all there are), benign look-alikes and Do-Not-Answer."""
_SIDES = Sides(
    "guidance",
    {FEWER: "answers with two guidelines", GUIDED: "answers with six guidelines"},
    {(FEWER, GUIDED): "two minus six guidelines"},
)


def measure_guidance(full: bool) -> list[Figure]:
    """The part `guidance` of the benchmark."""
    settings = with_paper_k(load_settings())
    prompts = prompts_of(*_SIZES[full])
    cache = settings.platform.cache.expanduser() / "bench"
    kept = KeptLines(cache / "labrador-answers.jsonl")
    guidelines = retrieve_for([p.text for p in prompts], settings)
    ask_base([(way, p.text) for p in prompts for way in _SIDES.ways], kept, guidelines, settings)
    texts = {way: [str(kept[way, p.text][0]) for p in prompts] for way in _SIDES.ways}
    verdicts = KeptLines(cache / "labrador-verdicts.jsonl")
    with bundled_model(settings) as ready:
        judge = HarmModelJudge(ready.safety, ready.evaluation.harm_threshold)
        harm = harm_figures(_SIDES, prompts, texts, judge, verdicts)
    return declining_figures(_SIDES, prompts, texts) + harm
