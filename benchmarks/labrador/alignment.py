"""Guided answers beside unguided ones, and Labrador beside its base without guidelines.

Guided is by the paper's six guidelines; the default's two are asked beside them, and the part
`guidance` asks more prompts about that. Every answer of the bundled base is judged three ways: does
it decline in its first words (rules), is it harmful, and which of two is better in both orders (the
bundled safety model, by likelihood; `benchmarks.judges` says how far it can be trusted). Labrador
is fine-tuned here on the guided answers, and answers from the server that the platform would serve
it with. Answers and verdicts are kept in the cache folder as they come, so a run that was stopped
goes on.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.console import Console

from benchmarks._harness.bundled_model import model_server
from benchmarks._harness.report import ROOT, Figure
from benchmarks._harness.starter_guidance import starter_live
from benchmarks.labrador.judged import (
    FEWER,
    GUIDED,
    LABRADOR,
    PLAIN,
    Prompt,
    difference,
    judged_figures,
)
from benchmarks.labrador.kept_lines import KeptLines
from guidealign.alignment import AlignedExample
from guidealign.alignment.filters import judge
from guidealign.evaluation import load_cases
from guidealign.evaluation.benchmarks.preference import preference_margin
from guidealign.evaluation.benchmarks.starter_cases import PreferenceCase
from guidealign.guidance import (
    asked_of_turns,
    compose,
    find_all,
    proposed_policy,
)
from guidealign.labrador.adapter_gguf import write_adapter_gguf
from guidealign.labrador.examples import tokenize
from guidealign.labrador.loop import add_adapters, fit
from guidealign.library.starter import STARTER_FOLDER
from guidealign.llm import ChatClient, run_many
from guidealign.platform import ensure_model, find_base, load_files
from guidealign.records import GuidancePolicy, RetrievedGuideline
from guidealign.settings import EndpointSettings, Settings, load_settings

DO_NOT_ANSWER = ROOT.parent / "shared" / "data" / "do_not_answer"
_SLOTS = 2
_FEWER, _PAPER_K = 2, 6
"""Guidelines in front of a prompt: the default, and the paper's number."""
console = Console(stderr=True)


@dataclass(frozen=True)
class _Sizes:
    """Of each kind of prompt, and of what is trained on and scored."""

    harm: int
    over_refusal: int
    do_not_answer: int
    learned: int
    scored: int


_SIZES = {True: _Sizes(40, 40, 40, 36, 48), False: _Sizes(4, 4, 4, 8, 4)}


def measure_alignment(full: bool) -> list[Figure]:
    """The part `alignment` of the benchmark."""
    settings, sizes = with_paper_k(load_settings()), _SIZES[full]
    prompts = prompts_of(sizes.harm, sizes.over_refusal, sizes.do_not_answer)
    inputs = _inputs(sizes.learned)
    asked = [p.text for p in prompts] + [text for text, _ in inputs]
    guidelines = retrieve_for(asked, settings)
    cache = settings.platform.cache.expanduser() / "bench"
    kept = KeptLines(cache / "labrador-answers.jsonl")
    jobs = [(way, p.text) for p in prompts for way in (GUIDED, FEWER, PLAIN)]
    jobs += [(GUIDED, text) for text, _ in inputs]
    ask_base(jobs, kept, guidelines, settings)
    examples = _examples(inputs, kept, guidelines)
    labrador = f"{LABRADOR}-{_training_key(examples, settings)}"
    cases = load_cases(at_most=sizes.scored)
    gains = KeptLines(cache / "labrador-gains.jsonl")
    jobs = [(labrador, p.text) for p in prompts]
    if any(job not in kept for job in jobs) or any(
        (labrador, c.case_id) not in gains for c in cases
    ):
        with tempfile.TemporaryDirectory() as folder:
            adapter, served = Path(folder) / "adapter", Path(folder) / "adapter.gguf"
            for case, gain in _trained(examples, settings, cases, adapter).items():
                gains[labrador, case] = gain
            write_adapter_gguf(adapter, ensure_model("base", settings), served)
            ask_base(jobs, kept, guidelines, settings, served)
    figures = _gain_figures(cases, {case.case_id: gains[labrador, case.case_id] for case in cases})
    ways = {GUIDED: GUIDED, FEWER: FEWER, PLAIN: PLAIN, LABRADOR: labrador}
    texts = {way: [kept[name, p.text][0] for p in prompts] for way, name in ways.items()}
    return judged_figures(prompts, texts, settings, cache) + figures


def with_paper_k(settings: Settings) -> Settings:
    """With as many guidelines in front of a prompt as the paper has, where the default has two."""
    paper = settings.retrieval.model_copy(update={"k": _PAPER_K})
    return settings.model_copy(update={"retrieval": paper})


def ask_base(
    jobs: list[tuple[str, str]],
    kept: KeptLines,
    guidelines: dict[str, list[RetrievedGuideline]],
    settings: Settings,
    adapter: Path | None = None,
) -> None:
    """Has the bundled base answer what was not answered before."""
    with model_server("base", settings, slots=_SLOTS, adapter=adapter) as (base_url, key):
        endpoint = EndpointSettings.model_validate(
            {"base_url": base_url, "api_key": key, "model": "base"}
        )
        with ChatClient(endpoint, stage="bench") as client:
            asker = _Asker(
                client,
                kept,
                guidelines,
                proposed_policy(settings),
                settings.align.max_tokens,
                len(jobs),
            )
            run_many(jobs, asker, _SLOTS)


def prompts_of(harm: int, over_refusal: int, do_not_answer: int) -> list[Prompt]:
    """So many prompts of each kind at most, spread over what there is."""
    found = []
    for kind, n in (("harm", harm), ("over_refusal", over_refusal)):
        cases = [case for case in load_cases() if case.kind == kind]
        step = max(1, len(cases) // n)
        found += [Prompt(c.prompt, kind, c.category) for c in cases[::step][:n]]
    for file in sorted(DO_NOT_ANSWER.glob("*.jsonl")):
        lines = file.read_text(encoding="utf-8").splitlines()
        share = do_not_answer // 5
        for line in lines[:: max(1, len(lines) // max(1, share))][:share]:
            prompt = json.loads(line)["prompt"]
            found.append(Prompt(prompt, "do_not_answer", prompt))
    return found


def _inputs(n: int) -> list[tuple[str, bool]]:
    """Inputs of the starter library, and whether they are unsafe: categories take turns."""
    files = [yaml.safe_load(f.read_text("utf-8")) for f in sorted(STARTER_FOLDER.glob("*.yaml"))]
    turns = [
        (file["inputs"][place]["text"], bool(file["inputs"][place]["unsafe"]))
        for place in range(n)
        for file in files
        if place < len(file["inputs"])
    ]
    return turns[:n]


def retrieve_for(texts: Sequence[str], settings: Settings) -> dict[str, list[RetrievedGuideline]]:
    """By text, what the untrained retriever finds in the starter library."""
    live = starter_live(settings, proposed_policy(settings))
    asked = [asked_of_turns([text], live.release.policy) for text in texts]
    found = find_all(live, [one for one in asked if one is not None])
    return {text: list(one.guidelines) for text, one in zip(texts, found, strict=True)}


@dataclass
class _Asker:
    client: ChatClient
    kept: KeptLines
    guidelines: dict[str, list[RetrievedGuideline]]
    policy: GuidancePolicy
    max_tokens: int
    n: int
    done: int = 0

    def __call__(self, job: tuple[str, str]) -> None:
        way, prompt = job
        if (way, prompt) not in self.kept:
            found = self.guidelines[prompt]
            shown = {GUIDED: found, FEWER: found[:_FEWER]}.get(way, [])
            messages = compose(prompt, shown, self.policy)
            said = self.client.complete(messages, temperature=0.0, max_tokens=self.max_tokens)
            self.kept[way, prompt] = (said.text, said.finish_reason)
        self.done += 1
        if self.done % 20 == 0 or self.done == self.n:
            console.print(f"labrador: {self.done} of {self.n} answers", highlight=False)


def _examples(
    inputs: Sequence[tuple[str, bool]],
    kept: KeptLines,
    guidelines: dict[str, list[RetrievedGuideline]],
) -> list[AlignedExample]:
    """What passes the filters of the aligned data set."""
    examples = []
    for number, (text, unsafe) in enumerate(inputs):
        said = kept[GUIDED, text]
        given = [g.text for g in guidelines[text]]
        judged = judge(said[0], finish_reason=said[1], known_safe=not unsafe, guidelines=given)
        if judged.filtered_reason is None:
            examples.append(AlignedExample(input_id=number, prompt=text, response=judged.response))
    return examples


def _training_key(examples: Sequence[AlignedExample], settings: Settings) -> str:
    """Of what a training depends on: another one answers anew."""
    learned = [(e.prompt, e.response) for e in examples]
    told = json.dumps([learned, settings.labrador.model_dump(mode="json")])
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _trained(
    examples: Sequence[AlignedExample],
    settings: Settings,
    cases: Sequence[PreferenceCase],
    folder: Path,
) -> dict[str, float]:
    """Gains of likelihood margins over the base by case, nats a token; leaves the adapter."""
    import torch

    model, tokenizer = load_files(find_base(settings).folder)
    wanted = settings.labrador
    rows = tokenize(examples, tokenizer, max_length=wanted.max_length).rows
    trained = fit(add_adapters(model, wanted), rows, wanted, _say_step(wanted.max_steps))
    console.print(f"labrador: trained on {len(rows)} answers", highlight=False)
    model = trained.model.eval()
    model.save_pretrained(folder, save_embedding_layers=False)
    gains = {}
    for case in cases:
        with torch.inference_mode(), model.disable_adapter():
            before = preference_margin(model, tokenizer, case)
        gains[case.case_id] = preference_margin(model, tokenizer, case) - before
    return gains


def _gain_figures(cases: Sequence[PreferenceCase], gains: dict[str, float]) -> list[Figure]:
    """Margins of likelihood on held-out cases, with adapters against without."""
    figures = []
    for kind in ("harm", "over_refusal", "quality"):
        chosen = [case for case in cases if case.kind == kind]
        if len({case.category for case in chosen}) < 2:
            continue
        name = f"Labrador minus base, likelihood margin, {kind.replace('_', '-')}"
        of = [case.category for case in chosen]
        figures.append(
            difference("alignment", name, [gains[c.case_id] for c in chosen], of, "nats/token")
        )
    return figures


def _say_step(steps: int) -> Callable[[dict[str, float], int], None]:
    def say(figures: dict[str, float], step: int) -> None:
        if "loss" in figures:
            console.print(
                f"labrador: step {step} of {steps}, loss {figures['loss']:.3f}", highlight=False
            )

    return say
