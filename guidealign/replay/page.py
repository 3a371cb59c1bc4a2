"""A replay as one page of HTML that needs nothing besides itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from guidealign.records import Release
from guidealign.replay.model import Example, Replay

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
  color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } td, th { padding: .25rem .6rem; text-align: left;
  vertical-align: top; border-bottom: 1px solid #ddd; } td.n { text-align: right;
  font-variant-numeric: tabular-nums; } .gone { background: #fde8e6; } .new { background: #e5f5e6; }
blockquote { margin: .5rem 0; padding: .4rem .8rem; background: #f4f4f4; white-space: pre-wrap;
  overflow-wrap: anywhere; } .pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
small { color: #666; }
"""


def _rate(figure: dict[str, float]) -> str:
    """A share with its interval: `12.0% (10.1-14.2%), 120 of 1000`."""
    return (
        f"{figure['value']:.1%} ({100 * figure['low']:.1f}-{100 * figure['high']:.1f}%),"
        f" {figure['hits']:.0f} of {figure['n']:.0f}"
    )


def _parts(release: Release) -> str:
    return (
        f"library {release.library_version}, retriever {release.retriever_version}, guidance policy"
        f" {release.policy_version}"
    )


def replay_summary(replay: Replay) -> list[tuple[str, str]]:
    """The figures that are looked at first, with their names."""
    f = replay.figures
    tokens, shifts = f["tokens"], f["shifts"]
    lines = [
        ("live", f"release {replay.live.release_id}: {_parts(replay.live)}"),
        ("candidate", _parts(replay.candidate)),
        ("requests", f"{f['n_requests']} from {replay.source}, {replay.seconds:.0f} s"),
        ("other guidelines", _rate(f["changed"])),
        ("same, other order", _rate(f["reordered"])),
        ("abstains, live", _rate(f["abstention"]["live"])),
        ("abstains, candidate", _rate(f["abstention"]["candidate"])),
        ("abstaining begins, ends", f"{f['abstention']['n_begun']}, {f['abstention']['n_ended']}"),
        ("tokens a request", f"{tokens['live']['mean']:.0f} -> {tokens['candidate']['mean']:.0f}"
         f" (all: {tokens['live_total']} -> {tokens['candidate_total']})"),
        ("guidelines that come", f"{f['added']['n_guidelines']}, {f['added']['n_times']} times"),
        ("guidelines that go", f"{f['removed']['n_guidelines']}, {f['removed']['n_times']} times"),
    ]  # fmt: skip
    if shifts["n_on_both"]:
        lines += [
            ("places moved, of both's", f"{shifts['rank']['mean']:.2f} on average"),
            ("cosine, of both's", f"{shifts['score']['mean']:+.3f} on average"),
        ]
    if f["as_recorded"]:
        lines.append(("live as recorded", _rate(f["as_recorded"])))
    return lines


def replay_page(replay: Replay) -> str:
    """The whole page."""
    f = replay.figures
    categories = [
        (c["category"], c["n_live"], c["n_candidate"], c["n_gained"], c["n_lost"])
        for c in f["by_category"]
    ]
    keys = [
        (
            k["key"], k["n_requests"], _rate(k["changed"]), k["n_abstained_live"],
            k["n_abstained_candidate"], k["tokens_live"], k["tokens_candidate"],
        )
        for k in f["by_key"]
    ]  # fmt: skip
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>guidealign replay</title>",
        f"<style>{_STYLE}</style><h1>Replay: what the candidate would change</h1>",
        _table((), replay_summary(replay)),
        "<h2>By category</h2><p><small>Requests that get a guideline of it.</small></p>",
        _table(("category", "live", "candidate", "gain it", "lose it"), categories),
        "<h2>By key</h2>",
        _table(
            ("key", "requests", "other guidelines", "abstains, live", "abstains, candidate",
             "tokens, live", "tokens, candidate"),
            keys,
        ),
        "<h2>Guidelines that come</h2>", _guidelines(f["added"]),
        "<h2>Guidelines that go</h2>", _guidelines(f["removed"]),
        f"<h2>The {len(replay.examples)} most changed requests</h2>",
        *map(_example, replay.examples),
    ]  # fmt: skip
    return "\n".join(parts)


def _guidelines(listed: dict[str, Any]) -> str:
    rows = [(g["id"], g["title"], g["category"], g["n_requests"]) for g in listed["most"]]
    return _table(("guideline", "title", "category", "requests"), rows)


def _example(example: Example) -> str:
    before = f"<small>before: {escape(example.context)}</small>" if example.context else ""
    sides = "".join(
        f"<div>{name}, {tokens} tokens{_side(guidelines, mark)}</div>"
        for name, tokens, guidelines, mark in (
            ("live", example.tokens[0], example.live, "gone"),
            ("candidate", example.tokens[1], example.candidate, "new"),
        )
    )
    about = f"<small>{escape(example.request_id)}, key {escape(example.key)}</small>"
    text = f"<blockquote>{escape(example.text)}</blockquote>"
    return f"{about}{text}{before}<div class=pair>{sides}</div>"


def _side(guidelines: Sequence[dict[str, Any]], mark: str) -> str:
    if not guidelines:
        return "<p>none</p>"
    rows = "".join(
        f"<tr{'' if g['on_both'] else f' class={mark}'}><td class=n>{g['id']}</td>"
        f"<td>{escape(g['title'])}<br><small>{escape(g['category'])}</small></td>"
        f"<td class=n>{g['score']:.3f}</td></tr>"
        for g in guidelines
    )
    return f"<table>{rows}</table>"


def _table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table>{f'<tr>{head}</tr>' if names else ''}{body}</table>"


def _cell(value: Any) -> str:
    kind = " class=n" if isinstance(value, int | float) else ""
    return f"<td{kind}>{escape(str(value))}</td>"
