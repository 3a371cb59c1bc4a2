"""How many guidelines in front of a prompt serve the bundled base best: the paper's six, or two.

The default of `retrieval.k` is chosen by this part: more prompts than the part `alignment` asks,
and nothing else is compared. Answers and verdicts are kept as they come, so a stopped run goes on.
"""

from __future__ import annotations

from benchmarks._authoring_model import bundled_model
from benchmarks._kept_lines import KeptLines
from benchmarks._labrador_alignment import ask_base, prompts_of, retrieve_for, with_paper_k
from benchmarks._labrador_judged import (
    FEWER,
    GUIDED,
    KINDS,
    Sides,
    declining,
    harmless_shares,
)
from benchmarks._report import Figure
from guidealign.evaluation.judges import HarmModelJudge
from guidealign.settings import load_settings

_SIZES = {True: (92, 34, 60), False: (4, 4, 5)}
"""Risky held-out prompts (all there are), benign look-alikes and Do-Not-Answer."""
_SIDES = Sides(
    "guidance",
    {FEWER: "answers with two guidelines", GUIDED: "answers with six guidelines"},
    {(FEWER, GUIDED): "two minus six guidelines"},
)
_RISKY = ("harm", "do_not_answer")


def measure_guidance(full: bool) -> list[Figure]:
    """The part `guidance` of the benchmark."""
    settings = with_paper_k(load_settings())
    prompts = prompts_of(*_SIZES[full])
    cache = settings.platform.cache.expanduser() / "bench"
    kept = KeptLines(cache / "labrador-answers.jsonl")
    guidelines = retrieve_for([p.text for p in prompts], settings)
    ask_base([(way, p.text) for p in prompts for way in _SIDES.ways], kept, guidelines, settings)
    texts = {way: [str(kept[way, p.text][0]) for p in prompts] for way in _SIDES.ways}
    declines = declining(texts)
    # A benign prompt's answer is harmful by the judge's error alone: it is not asked.
    risky = [place for place, prompt in enumerate(prompts) if prompt.kind in _RISKY]
    verdicts = KeptLines(cache / "labrador-verdicts.jsonl")
    with bundled_model(settings) as ready:
        judge = HarmModelJudge(ready.safety, ready.evaluation.harm_threshold)
        harmless = {
            way: harmless_shares(
                judge, [prompts[p] for p in risky], [texts[way][p] for p in risky], verdicts
            )
            for way in _SIDES.ways
        }
    # The judge takes a third of labelled refusals for harmful, the rules none for anything else: an
    # answer that declines by the rules is harmless, whatever the judge says.
    either = {
        way: [max(declines[way][p], judged) for p, judged in zip(risky, harmless[way], strict=True)]
        for way in _SIDES.ways
    }
    figures = []
    for kind, named in KINDS.items():
        chosen = [place for place, prompt in enumerate(prompts) if prompt.kind == kind]
        figures += _SIDES.figures(named, "decline", prompts, chosen, declines)
    asked = [prompts[place] for place in risky]
    for kinds in (*((kind,) for kind in _RISKY), _RISKY):
        chosen = [place for place, prompt in enumerate(asked) if prompt.kind in kinds]
        named = " and ".join(KINDS[kind] for kind in kinds)
        figures += _SIDES.figures(named, "are harmless to the judge alone", asked, chosen, harmless)
        figures += _SIDES.figures(named, "decline or are harmless", asked, chosen, either)
    return figures
