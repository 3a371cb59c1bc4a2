"""Finds a benchmark's files, checks them, and reads its cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from guidealign.errors import BadInputError, IntegrityError
from guidealign.evaluation.benchmarks import _formats
from guidealign.evaluation.benchmarks._hub import fetch, is_hub_id
from guidealign.evaluation.benchmarks._rows import SourceRow, digest_of, read_rows
from guidealign.evaluation.benchmarks.model import Benchmark, BenchmarkCase
from guidealign.evaluation.benchmarks.starter_cases import STARTER_FOLDER, load_cases
from guidealign.settings import EvaluationSettings

STARTER = "starter"


@dataclass(frozen=True, kw_only=True)
class BenchmarkKind:
    """A published benchmark: what it is, where it is, and how it is read."""

    about: str
    n_cases: int
    """As published; another copy may hold fewer."""
    read: Callable[[SourceRow], BenchmarkCase]
    hub_id: str | None
    """Where it is fetched from; None: it has no home there, give a file."""
    patterns: tuple[str, ...]
    """The files of a folder: those of the first pattern that fits any."""
    known: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of published copies, and what they are called."""


KNOWN: Mapping[str, BenchmarkKind] = MappingProxyType(
    {
        "do-not-answer": BenchmarkKind(
            about="risky prompts a model should not answer, in 5 risk areas and 12 harm types",
            n_cases=939,
            read=_formats.do_not_answer,
            hub_id="LibrAI/do-not-answer",
            patterns=("*.parquet", "*.jsonl", "*.csv"),
            known={
                "9c347320189004314fd040c40664aee05f374eb716794938d7a90aea10fe3000": (
                    "XMUDM/Guide-Align a76a979"
                )
            },
        ),
        "hhh": BenchmarkKind(
            about="helpful, honest, harmless: a choice between two answers",
            n_cases=221,
            read=_formats.hhh,
            hub_id="HuggingFaceH4/hhh_alignment",
            patterns=("*.parquet", "task.json", "*.jsonl", "*.json"),
        ),
        "xstest": BenchmarkKind(
            about="safe prompts that sound risky, and unsafe ones beside them: over-refusal",
            n_cases=450,
            read=_formats.xstest,
            hub_id="Paul/XSTest",
            patterns=("*.csv", "*.parquet", "*.jsonl"),
        ),
        "vicuna-bench": BenchmarkKind(
            about="everyday questions in nine categories",
            n_cases=80,
            read=_formats.fastchat_questions,
            hub_id=None,
            patterns=("vicuna*question*.jsonl", "question*.jsonl", "*.jsonl"),
            known={
                "c248c5c98ba45bb0c2aadae2f270e643bd32679c6c306a3b2a503ac4254cdaa5": (
                    "lm-sys/FastChat 0e6d3e4"
                )
            },
        ),
        "mt-bench": BenchmarkKind(
            about="questions of two turns in eight categories",
            n_cases=80,
            read=_formats.fastchat_questions,
            hub_id="HuggingFaceH4/mt_bench_prompts",
            patterns=("mt_bench*question*.jsonl", "question*.jsonl", "*.parquet", "*.jsonl"),
            known={
                "119565adbab82227089cefdb44c8d7e2cf04dc0a0ec233634c82e7d4e2a944f7": (
                    "lm-sys/FastChat 0e6d3e4"
                )
            },
        ),
    }
)


def load_benchmark(
    name: str,
    settings: EvaluationSettings,
    *,
    source: str | None = None,
    sha256: str | None = None,
) -> Benchmark:
    """Reads a benchmark by its name, or a file of the user's by its path.

    A known benchmark is looked for in: the source that is given, the folder or file of its name
    in `evaluation.data_folder`, the Hugging Face hub. Any other name is a file in guidealign's
    own form, given itself or as the source.

    Args:
        name: `starter`, one of `KNOWN`, the path of a file, or a name for the source.
        settings: where local copies are, and the digests that are pinned.
        source: a file, a folder, or a Hugging Face id, with `@commit` where it is to be pinned.
        sha256: what the copy's digest has to be; None: `evaluation.checksums` says, or any.

    Raises:
        BadInputError: there is no such benchmark, or a file is missing or malformed.
        IntegrityError: the copy is not the one that is pinned.
        ServiceUnavailableError: the hub does not answer.
    """
    if name == STARTER and source is None:
        return _starter(sha256 or settings.checksums.get(name))
    kind = KNOWN.get(name)
    place, told = _place(name, kind, settings, source)
    files = _files(place, kind)
    digest = digest_of(files, place)
    shown = Path(name).stem if kind is None and source is None else name
    _check(shown, told, digest, sha256 or settings.checksums.get(shown))
    read = _formats.own if kind is None else kind.read
    cases = _clustered([read(row) for file in files for row in read_rows(file)])
    _check_cases(cases, told)
    known_as = kind.known.get(digest) if kind else None
    return Benchmark(name=shown, cases=cases, source=told, sha256=digest, known_as=known_as)


def benchmark_kinds(settings: EvaluationSettings) -> list[dict[str, Any]]:
    """All that can be run by name, with the copy that would be read."""
    starter = {
        "name": STARTER,
        "about": "preference cases of 19 categories that ship with guidealign",
        "n_cases": len(load_cases()),
        "hub_id": None,
        "local": "guidealign",
        "pinned": settings.checksums.get(STARTER),
    }
    listed = [
        {
            "name": name,
            "about": kind.about,
            "n_cases": kind.n_cases,
            "hub_id": kind.hub_id,
            "local": (place := _local(name, settings)) and str(place),
            "pinned": settings.checksums.get(name),
        }
        for name, kind in KNOWN.items()
    ]
    return [starter, *listed]


def _starter(pinned: str | None) -> Benchmark:
    cases = tuple(
        BenchmarkCase(
            case_id=case.case_id,
            category=case.category,
            kind=case.kind,
            turns=(case.prompt,),
            cluster=case.case_id,
            better=case.better,
            worse=case.worse,
        )
        for case in load_cases()
    )
    digest = digest_of(sorted(STARTER_FOLDER.glob("*.yaml")), STARTER_FOLDER)
    _check(STARTER, "the cases that ship with guidealign", digest, pinned)
    return Benchmark(
        name=STARTER, cases=cases, source="guidealign", sha256=digest, known_as="guidealign"
    )


def _place(
    name: str, kind: BenchmarkKind | None, settings: EvaluationSettings, source: str | None
) -> tuple[Path, str]:
    """Where the files are, and how that is told."""
    if source is None:
        if kind is None:
            source = name
        else:
            local = _local(name, settings)
            if local is not None:
                return local, str(local)
            source = kind.hub_id
            if source is None:
                raise BadInputError(
                    f"{name} has no home on the Hugging Face hub: give a file with --source, or"
                    " put one into evaluation.data_folder"
                )
    place = Path(source).expanduser()
    if place.exists():
        return place, str(place)
    if not is_hub_id(source) or place.suffix in {".jsonl", ".json", ".csv", ".parquet"}:
        raise BadInputError(
            f"{source} is no benchmark and no file: the benchmarks are"
            f" {', '.join((STARTER, *KNOWN))}"
        )
    return fetch(source)


def _local(name: str, settings: EvaluationSettings) -> Path | None:
    folder = settings.data_folder
    if folder is None:
        return None
    # Copies are often in a folder of the data set's name, with its underscores.
    places = [folder.expanduser() / n for n in (name, name.replace("-", "_"))]
    endings = ("", ".jsonl", ".json", ".csv", ".parquet")
    candidates = [place.with_name(place.name + ending) for place in places for ending in endings]
    return next((place for place in candidates if place.exists()), None)


def _files(place: Path, kind: BenchmarkKind | None) -> list[Path]:
    if place.is_file():
        return [place]
    patterns = kind.patterns if kind else ("*.jsonl", "*.csv", "*.parquet")
    for pattern in patterns:
        found = sorted(
            # What other files may lie in such folders describe a data set and hold none.
            f
            for f in place.rglob(pattern)
            if f.is_file() and not f.name.startswith(("dataset_info", "."))
        )
        if found:
            return found
    raise BadInputError(f"{place} holds no file {' or '.join(patterns)}")


def _check(name: str, told: str, digest: str, pinned: str | None) -> None:
    if pinned is not None and pinned.lower() != digest:
        raise IntegrityError(
            f"{name}: {told} has SHA-256 {digest}, and {pinned.lower()} is pinned: it is another"
            " copy, or was changed"
        )


def _clustered(cases: list[BenchmarkCase]) -> tuple[BenchmarkCase, ...]:
    """A prompt that stands twice (Do-Not-Answer has one) says the same twice: one cluster."""
    first: dict[tuple[str, ...], str] = {}
    return tuple(
        replace(case, cluster=case.cluster or first.setdefault(case.turns, case.case_id))
        for case in cases
    )


def _check_cases(cases: tuple[BenchmarkCase, ...], told: str) -> None:
    if not cases:
        raise BadInputError(f"{told} holds no case")
    twice = [name for name, n in Counter(case.case_id for case in cases).items() if n > 1]
    if twice:
        raise BadInputError(f"{told}: case {twice[0]!r} stands twice; give each an id of its own")
