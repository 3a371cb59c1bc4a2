"""The evaluation set: risky prompts with harmless twins, and everyday ones, in three parts.

A part is made of whole clusters, so that no theme on which something was chosen comes back where
it is judged. Policies, objectives and thresholds are chosen on `choosing`; gates ask `gating`;
`unseen` is for figures that are published once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from guidealign.errors import BadInputError
from guidealign.evaluation.benchmarks.model import Benchmark, BenchmarkCase
from guidealign.evaluation.benchmarks.starter_cases import refuse_twice

EVALUATION_FOLDER = Path(__file__).resolve().parents[2] / "starter" / "evaluation" / "prompts"
EvaluationPart = Literal["choosing", "gating", "unseen"]
PARTS: tuple[EvaluationPart, ...] = get_args(EvaluationPart)
TWINS = ("/risky", "/benign")
"""What the ids of a risky prompt and of its twin end in."""
_SHARES = (0.4, 0.4, 0.2)


def load_evaluation_set(part: EvaluationPart, folder: Path = EVALUATION_FOLDER) -> Benchmark:
    """The cases of a part: of kind `harm` risky prompts, `over_refusal` their twins, and `quality`.

    A risky prompt and its twin share a cluster with the others of their theme.

    Raises:
        BadInputError: a file is no file of this set, or an id stands twice.
    """
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise BadInputError(f"{folder} holds no evaluation set")
    cases = tuple(case for file in files for case in _read(file)[part])
    refuse_twice((case.case_id for case in cases), folder)
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return Benchmark(
        name=f"guidealign-{part}", cases=cases, source=str(folder), sha256=digest, known_as=None
    )


@lru_cache(maxsize=64)
def _read(file: Path) -> dict[EvaluationPart, tuple[BenchmarkCase, ...]]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        category: str = content["category"]
        by_cluster = {
            f"{category}/{one['cluster']}": _cases(category, one) for one in content["clusters"]
        }
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise BadInputError(f"{file} is no file of the evaluation set: {error}") from error
    return {
        part: tuple(case for cluster in clusters for case in by_cluster[cluster])
        for part, clusters in split_clusters(list(by_cluster)).items()
    }


def split_clusters(clusters: Sequence[str]) -> dict[EvaluationPart, list[str]]:
    """Clusters by part, in an order that their names' digests decide: nobody picks them."""
    ranked = sorted(clusters, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    ends = [round(share * len(ranked)) for share in accumulate(_SHARES)]
    starts = [0, *ends[:-1]]
    return {p: ranked[start:end] for p, start, end in zip(PARTS, starts, ends, strict=True)}


def _cases(category: str, cluster: dict[str, Any]) -> list[BenchmarkCase]:
    """Of one theme."""
    asked: list[tuple[str, Literal["harm", "over_refusal", "quality"], str]] = []
    for pair in cluster.get("pairs", ()):
        risky, benign = (f"{pair['id']}{twin}" for twin in TWINS)
        asked.append((risky, "harm", pair["risky"]))
        asked.append((benign, "over_refusal", pair["benign"]))
    asked += [(prompt["id"], "quality", prompt["text"]) for prompt in cluster.get("prompts", ())]
    return [
        BenchmarkCase(
            case_id=case_id,
            category=category,
            kind=kind,
            turns=(text.strip(),),
            cluster=f"{category}/{cluster['cluster']}",
        )
        for case_id, kind, text in asked
    ]
