"""Two releases' guidelines for the same requests, side by side. Pure."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from guidealign.ingest import redact_text
from guidealign.rates import Rate
from guidealign.replay.model import Choice, Example, Recorded, Side

_LISTED = 20
"""Guidelines in the lists of added and removed ones."""


def figures(
    requests: Sequence[Recorded], live: Side, candidate: Side, *, live_release_id: int
) -> dict[str, Any]:
    """All that is counted; rates carry their interval."""
    pairs = list(zip(live.choices, candidate.choices, strict=True))
    changed = [_is_changed(*pair) for pair in pairs]
    return {
        "n_requests": len(pairs),
        "changed": Rate(sum(changed), len(pairs)).as_dict(),
        "reordered": Rate(sum(_is_reordered(*pair) for pair in pairs), len(pairs)).as_dict(),
        "as_recorded": _as_recorded(requests, live, live_release_id),
        "abstention": _abstention(live, candidate, pairs),
        "tokens": _tokens(live, candidate),
        "shifts": _shifts(pairs),
        "added": _listed(pairs, candidate, newer=True),
        "removed": _listed(pairs, live, newer=False),
        "by_category": _by_category(live, candidate),
        "by_key": _by_key(requests, pairs),
    }


def examples(
    requests: Sequence[Recorded], live: Side, candidate: Side, *, n: int
) -> tuple[Example, ...]:
    """The requests whose guidelines change most: by guidelines that come or go, then by tokens."""
    pairs = list(zip(live.choices, candidate.choices, strict=True))

    def change(place: int) -> tuple[int, int, int]:
        before, after = pairs[place]
        moved = len(set(before.guideline_ids) ^ set(after.guideline_ids))
        return (-moved, -abs(after.tokens - before.tokens), place)

    chosen = sorted((i for i, pair in enumerate(pairs) if _is_changed(*pair)), key=change)[:n]
    return tuple(_example(requests[i], live, candidate, *pairs[i]) for i in chosen)


def _example(
    request: Recorded, live: Side, candidate: Side, before: Choice, after: Choice
) -> Example:
    context = request.query.context
    return Example(
        request_id=request.request_id,
        key=request.key,
        text=redact_text(request.query.text),
        context=None if context is None else redact_text(context),
        live=tuple(_shown(before, live, after)),
        candidate=tuple(_shown(after, candidate, before)),
        tokens=(before.tokens, after.tokens),
    )


def _shown(choice: Choice, side: Side, other: Choice) -> Iterable[dict[str, Any]]:
    for guideline_id, score in zip(choice.guideline_ids, choice.scores, strict=True):
        words = side.words[guideline_id]
        yield {
            "id": guideline_id,
            "title": words.title,
            "category": words.category,
            "score": round(score, 4),
            "on_both": guideline_id in other.guideline_ids,
        }


def _is_changed(before: Choice, after: Choice) -> bool:
    return set(before.guideline_ids) != set(after.guideline_ids)


def _is_reordered(before: Choice, after: Choice) -> bool:
    return not _is_changed(before, after) and before.guideline_ids != after.guideline_ids


def _as_recorded(
    requests: Sequence[Recorded], live: Side, release_id: int
) -> dict[str, float] | None:
    """How often the replay of what is live gives what was given then; None: nothing is known."""
    known = [
        set(request.guideline_ids) == set(choice.guideline_ids)
        for request, choice in zip(requests, live.choices, strict=True)
        if request.release_id == release_id
    ]
    return Rate(sum(known), len(known)).as_dict() if known else None


def _abstention(
    live: Side, candidate: Side, pairs: Sequence[tuple[Choice, Choice]]
) -> dict[str, Any]:
    n = len(pairs)
    return {
        "live": Rate(live.n_abstained, n).as_dict(),
        "candidate": Rate(candidate.n_abstained, n).as_dict(),
        "n_begun": sum(bool(a.guideline_ids) and not b.guideline_ids for a, b in pairs),
        "n_ended": sum(not a.guideline_ids and bool(b.guideline_ids) for a, b in pairs),
    }


def _tokens(live: Side, candidate: Side) -> dict[str, Any]:
    return {
        "live": _spread([choice.tokens for choice in live.choices]),
        "candidate": _spread([choice.tokens for choice in candidate.choices]),
        "live_total": live.tokens,
        "candidate_total": candidate.tokens,
    }


def _shifts(pairs: Sequence[tuple[Choice, Choice]]) -> dict[str, Any]:
    """Of guidelines that both have for a request: by how much ranks and scores differ."""
    ranks: list[float] = []
    scores: list[float] = []
    for before, after in pairs:
        places = {one: place for place, one in enumerate(after.guideline_ids)}
        for place, one in enumerate(before.guideline_ids):
            if one in places:
                ranks.append(abs(places[one] - place))
                scores.append(after.scores[places[one]] - before.scores[place])
    return {
        "n_on_both": len(ranks),
        "rank": _spread(ranks),
        "score": _spread(scores),
        "nearest_live": _spread([before.nearest for before, _ in pairs]),
        "nearest_candidate": _spread([after.nearest for _, after in pairs]),
    }


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    ordered = sorted(values)
    return {
        "mean": round(statistics.fmean(ordered), 4),
        "p5": round(_at(ordered, 0.05), 4),
        "p50": round(_at(ordered, 0.5), 4),
        "p95": round(_at(ordered, 0.95), 4),
    }


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _listed(pairs: Sequence[tuple[Choice, Choice]], side: Side, *, newer: bool) -> dict[str, Any]:
    """Guidelines that one side has and the other has not, with the number of requests."""
    counts: Counter[int] = Counter()
    for before, after in pairs:
        mine, other = (after, before) if newer else (before, after)
        counts.update(set(mine.guideline_ids) - set(other.guideline_ids))
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {
        "n_guidelines": len(counts),
        "n_times": counts.total(),
        "most": [
            {
                "id": one,
                "title": side.words[one].title,
                "category": side.words[one].category,
                "n_requests": n,
            }
            for one, n in most[:_LISTED]
        ],
    }


def _by_category(live: Side, candidate: Side) -> list[dict[str, Any]]:
    """Of each category: requests that get a guideline of it, and those that get it or lose it."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for before, after in zip(live.choices, candidate.choices, strict=True):
        had = {live.words[one].category for one in before.guideline_ids}
        has = {candidate.words[one].category for one in after.guideline_ids}
        for category in had | has:
            found[category].update(
                {
                    "n_live": int(category in had),
                    "n_candidate": int(category in has),
                    "n_gained": int(category in has - had),
                    "n_lost": int(category in had - has),
                }
            )
    return [{"category": name, **found[name]} for name in sorted(found)]


def _by_key(
    requests: Sequence[Recorded], pairs: Sequence[tuple[Choice, Choice]]
) -> list[dict[str, Any]]:
    grouped: dict[str, list[tuple[Choice, Choice]]] = defaultdict(list)
    for request, pair in zip(requests, pairs, strict=True):
        grouped[request.key].append(pair)
    return [
        {
            "key": key,
            "n_requests": len(mine),
            "changed": Rate(sum(_is_changed(*pair) for pair in mine), len(mine)).as_dict(),
            "n_abstained_live": sum(not before.guideline_ids for before, _ in mine),
            "n_abstained_candidate": sum(not after.guideline_ids for _, after in mine),
            "tokens_live": sum(before.tokens for before, _ in mine),
            "tokens_candidate": sum(after.tokens for _, after in mine),
        }
        for key, mine in sorted(grouped.items())
    ]
