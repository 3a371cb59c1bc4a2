"""What a replay counts, worked by hand."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

from guidealign.replay import Recorded, Replay, replay_page, replay_summary
from guidealign.replay.compare import examples, figures
from guidealign.replay.model import Choice, GuidelineWords, Side
from tests.fakes.policies import release

WORDS = {
    1: GuidelineWords(title="<b>One</b>", category="Insult"),
    2: GuidelineWords(title="Two", category="Insult"),
    3: GuidelineWords(title="Three", category="Physical_Harm"),
}
RELEASE = release(release_id=5)


def _choice(*found: tuple[int, float], tokens: int, nearest: float = 0.0) -> Choice:
    return Choice(
        guideline_ids=tuple(one for one, _ in found),
        scores=tuple(score for _, score in found),
        tokens=tokens,
        nearest=nearest or found[0][1],
    )


def _side(version: int, *choices: Choice) -> Side:
    return Side(
        library_version=version,
        retriever_version=0,
        policy_version=1,
        n_guidelines=3,
        choices=choices,
        words=WORDS,
    )


def _recorded(name: str, key: str, *ids: int, release_id: int | None = 5) -> Recorded:
    said = f"{name}? <script>alert(1)</script> Mail a.b@example.org"
    turns = ("Earlier, a.b@example.org", said)
    return Recorded(request_id=name, key=key, turns=turns, release_id=release_id, guideline_ids=ids)


REQUESTS = [
    _recorded("same", "app", 1, 2),
    _recorded("reordered", "app", 2),
    _recorded("swapped", "app", 1, release_id=4),
    _recorded("begun", "bot", 1),
    _recorded("ended", "bot", release_id=None),
]
LIVE = _side(
    1,
    _choice((1, 0.9), (2, 0.5), tokens=100),
    _choice((1, 0.9), (2, 0.5), tokens=100),
    _choice((1, 0.9), (2, 0.5), tokens=100),
    _choice((1, 0.4), tokens=60),
    _choice(tokens=0, nearest=0.1),
)
CANDIDATE = _side(
    2,
    _choice((1, 0.8), (2, 0.6), tokens=100),
    _choice((2, 0.7), (1, 0.6), tokens=100),
    _choice((3, 0.9), (1, 0.7), tokens=150),
    _choice(tokens=0, nearest=0.2),
    _choice((3, 0.6), tokens=70),
)


def test_figures() -> None:
    f = figures(REQUESTS, LIVE, CANDIDATE, live_release_id=5)
    # swapped, begun and ended get others; reordered gets the same the other way round.
    assert (f["changed"]["hits"], f["changed"]["n"], f["reordered"]["hits"]) == (3, 5, 1)
    # Recorded under release 5: same (1, 2) as replayed, reordered (2) and begun (1): same yes,
    # reordered no, begun yes.
    assert (f["as_recorded"]["hits"], f["as_recorded"]["n"]) == (2, 3)
    assert f["abstention"]["live"]["hits"] == f["abstention"]["candidate"]["hits"] == 1
    assert (f["abstention"]["n_begun"], f["abstention"]["n_ended"]) == (1, 1)
    assert (f["tokens"]["live_total"], f["tokens"]["candidate_total"]) == (360, 420)
    # On both sides: 1 and 2 of `same` stay, 1 and 2 of `reordered` move a place each, 1 of
    # `swapped` moves a place: 3 places over 5 guidelines. Scores: -0.1 +0.1 -0.3 +0.2 -0.2.
    assert f["shifts"]["n_on_both"] == 5
    assert f["shifts"]["rank"]["mean"] == 0.6
    assert f["shifts"]["score"]["mean"] == -0.06
    assert f["added"]["most"] == [
        {"id": 3, "title": "Three", "category": "Physical_Harm", "n_requests": 2}
    ]
    # 1 goes from `begun`, 2 from `swapped`: once each, the lower id first.
    assert [(g["id"], g["n_requests"]) for g in f["removed"]["most"]] == [(1, 1), (2, 1)]
    assert f["by_category"] == [
        {"category": "Insult", "n_live": 4, "n_candidate": 3, "n_gained": 0, "n_lost": 1},
        {"category": "Physical_Harm", "n_live": 0, "n_candidate": 2, "n_gained": 2, "n_lost": 0},
    ]
    assert [(k["key"], k["n_requests"], k["changed"]["hits"]) for k in f["by_key"]] == [
        ("app", 3, 1),
        ("bot", 2, 2),
    ]


def test_the_most_changed_come_first_and_masked() -> None:
    shown = examples(REQUESTS, LIVE, CANDIDATE, n=2)
    # swapped: 2 goes, 3 comes. begun and ended: one each, by 60 and 70 tokens.
    assert [example.request_id for example in shown] == ["swapped", "ended"]
    assert [g["on_both"] for g in shown[0].live] == [True, False]
    for example in shown:
        assert "a.b@example.org" not in example.text + str(example.context)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        del attrs
        self.seen.add(tag)


def test_the_page_shows_words_as_words() -> None:
    replay = Replay(
        source="inbox",
        live=RELEASE,
        candidate=replace(RELEASE, library_version=2),
        figures=figures(REQUESTS, LIVE, CANDIDATE, live_release_id=5),
        examples=examples(REQUESTS, LIVE, CANDIDATE, n=5),
        seconds=1.0,
    )
    page, tags = replay_page(replay), _Tags()
    tags.feed(page)
    assert not {"script", "b"} & tags.seen
    assert "a.b@example.org" not in page
    # 3 of 5, Wilson: 23.1% to 88.2%.
    assert dict(replay_summary(replay))["other guidelines"] == "60.0% (23.1-88.2%), 3 of 5"
