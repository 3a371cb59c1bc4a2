"""Search: what the Python call adds, what the index misses, and how both grow."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection, Engine, text

from benchmarks._harness.report import Figure
from benchmarks._harness.synthetic_library import (
    RARE_SOURCE,
    Space,
    Vectors,
    connect,
    database,
    fill,
    percentile,
)
from guidealign.db import make_engine
from guidealign.library import SearchOptions, build_index, search_vector
from guidealign.settings import Settings

K = 6
MAX_RATIO = 1.25
LEAST_RECALL = 0.99
MAX_GROWTH = 3.0
_RETRIEVER = 1
_PER_WORDING = 20
_RARE = SearchOptions(sources=[RARE_SOURCE])


class Point(NamedTuple):
    """A library of one size."""

    n: int
    n_queries: int
    fill_s: float
    index_s: float
    p50_ms: float
    p99_ms: float
    recall: float
    megabytes: dict[str, float]


def measure_search(server_url: str, n: int, n_queries: int) -> list[Figure]:
    """The Python call against a bare statement, and recall with and without a filter."""
    space = Space(n // _PER_WORDING)
    vectors, queries = space.guidelines(n), space.queries(n_queries)
    with database(server_url, "bench_search") as url:
        fill(url, vectors, retrievers=(_RETRIEVER,))
        engine = make_engine(url)
        ef_search = build_index(_RETRIEVER, engine=engine, settings=_indexed()).ef_search
        assert ef_search is not None, "the index did not reach its recall"
        return [
            *_against_bare(engine, queries, ef_search),
            *_recall(engine, vectors, queries),
            _never_short(engine, queries, n_random=min(10_000, 20 * n_queries)),
        ]


def _indexed() -> Settings:
    settings = Settings()
    settings.library.exact_below = 1_000
    # Nobody searches meanwhile.
    settings.library.index_workers = 2
    return settings


def _against_bare(engine: Engine, queries: Vectors, ef_search: int) -> list[Figure]:
    bare = (
        "select guideline_id, -(embedding::halfvec(384) <#> %(q)b::halfvec(384))"
        f" from core.embeddings where retriever_version = {_RETRIEVER}"
        f" order by embedding::halfvec(384) <#> %(q)b::halfvec(384) limit {K}"
    )
    bare_ms, api_ms, function_ms = [], [], []
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.execute(f"set hnsw.ef_search = {ef_search}")
        function = f"select id, title, text, score from library.search(%(q)b, {_RETRIEVER}, {K})"
        for warm_up in (True, False):
            for query in queries[:20] if warm_up else queries:
                bare_ms.append(_ms(_rows_of, driver, bare, query))
                api_ms.append(_ms(_search, connection, query))
                function_ms.append(_ms(_rows_of, driver, function, query))
    bare_p50, api_p50, function_p50 = (median(t[20:]) for t in (bare_ms, api_ms, function_ms))
    n = len(queries)
    ratio = api_p50 / bare_p50
    return [
        Figure(figure="search: bare ORDER BY ... LIMIT, p50", value=bare_p50, unit="ms", n=n),
        Figure(figure="search: Python API, p50", value=api_p50, unit="ms", n=n),
        Figure(
            figure="search: Python API against the bare statement",
            value=ratio,
            unit="ratio of p50",
            n=n,
            target=f"<= {MAX_RATIO}",
            met=ratio <= MAX_RATIO,
            note="with title, text and category, and only what is active; the bare one: id, score",
        ),
        Figure(
            figure="search: library.search in SQL against the bare statement",
            value=function_p50 / bare_p50,
            unit="ratio of p50",
            n=n,
        ),
    ]


def _ms(call: Callable[..., object], *arguments: object) -> float:
    started = time.perf_counter()
    call(*arguments)
    return (time.perf_counter() - started) * 1e3


def _rows_of(driver: Any, statement: str, query: np.ndarray) -> list[Any]:
    return driver.execute(statement, {"q": query}).fetchall()


def _search(
    connection: Connection, query: np.ndarray, options: SearchOptions | None = None, k: int = K
) -> list[Any]:
    return search_vector(
        query,
        connection=connection,
        retriever_version=_RETRIEVER,
        k=k,
        options=options or SearchOptions(),
    )


def _recall(engine: Engine, vectors: Vectors, queries: Vectors) -> list[Figure]:
    ids = np.arange(1, len(vectors) + 1)
    with engine.connect() as connection:
        rare = connection.execute(
            text("select id from core.guidelines where source = :s"), {"s": RARE_SOURCE}
        )
        rare_ids = np.array(sorted(rare.scalars()))
        figures = []
        for name, among, options in (
            ("unfiltered", ids, None),
            (f"filter of {len(rare_ids) / len(ids):.0%}", rare_ids, _RARE),
        ):
            shares, times = [], []
            some = vectors[among - 1]
            for query in queries:
                best = set(among[np.argpartition(-(some @ query), K)[:K]].tolist())
                started = time.perf_counter()
                found = {hit.guideline_id for hit in _search(connection, query, options)}
                times.append((time.perf_counter() - started) * 1e3)
                shares.append(len(found & best) / K)
            recall = float(np.mean(shares))
            figures.append(
                Figure(
                    figure=f"search: recall@{K} against exact, {name}",
                    value=recall,
                    unit="share",
                    n=len(queries),
                    target=f">= {LEAST_RECALL}",
                    met=recall >= LEAST_RECALL,
                    note=f"p50 {median(times):.2f} ms",
                )
            )
    return figures


def _never_short(engine: Engine, queries: Vectors, n_random: int) -> Figure:
    """Random filters and k: fewer than k come back only when there are no more."""
    rng = np.random.default_rng(1)
    short = 0
    with engine.connect() as connection:
        rows = connection.execute(
            text("select category, source is not null as rare, count(*) as n from core.guidelines"
                 " group by 1, 2")
        ).all()  # fmt: skip
        categories = sorted({row.category for row in rows})
        for i in range(n_random):
            chosen = rng.choice(categories, rng.integers(0, 4), replace=False).tolist() or None
            rare = bool(rng.random() < 0.8)
            k = int(rng.integers(1, 40))
            there = sum(
                row.n
                for row in rows
                if (chosen is None or row.category in chosen) and (row.rare or not rare)
            )
            options = SearchOptions(categories=chosen, sources=[RARE_SOURCE] if rare else None)
            found = _search(connection, queries[i % len(queries)], options, k)
            short += len(found) < min(k, there)
    return Figure(
        figure="search: filtered searches that came back short",
        value=short,
        unit="searches",
        n=n_random,
        target="0",
        met=short == 0,
        note="random categories, source and k",
    )


def measure_growth(server_url: str, sizes: list[int], n_queries: int) -> list[Point]:
    """One library a size: time to fill and index it, search, and size on disk."""
    points = []
    for n in sizes:
        space = Space(n // _PER_WORDING)
        vectors, queries = space.guidelines(n), space.queries(n_queries)
        with database(server_url, f"bench_growth_{n}") as url:
            started = time.perf_counter()
            fill(url, vectors, retrievers=(_RETRIEVER,))
            fill_s = time.perf_counter() - started
            engine = make_engine(url)
            started = time.perf_counter()
            build_index(_RETRIEVER, engine=engine, settings=_indexed())
            points.append(
                _point(n, fill_s, time.perf_counter() - started, engine, vectors, queries)
            )
    return points


def _point(
    n: int, fill_s: float, index_s: float, engine: Engine, vectors: Vectors, queries: Vectors
) -> Point:
    with engine.connect() as connection:
        for query in queries:
            # The first search of a page reads it from disk; what people wait for is the later ones.
            _search(connection, query)
        times = [_ms(_search, connection, query) for query in queries]
        shares = []
        for query in queries[:200]:
            best = set((np.argpartition(-(vectors @ query), K)[:K] + 1).tolist())
            shares.append(len({hit.guideline_id for hit in _search(connection, query)} & best) / K)
    with connect(engine.url.render_as_string(hide_password=False).replace("+psycopg", "")) as raw:
        sizes = raw.execute(
            "select pg_total_relation_size('core.guidelines'),"
            " pg_total_relation_size('core.embeddings'),"
            " coalesce((select pg_relation_size(c.oid) from pg_class c"
            "            where c.relname = 'ix_embeddings_hnsw_1'), 0)"
        ).fetchone()
    assert sizes is not None
    guidelines, embeddings, index = (float(str(size)) / 1e6 for size in sizes)
    return Point(
        n=n,
        n_queries=len(queries),
        fill_s=fill_s,
        index_s=index_s,
        p50_ms=percentile(times, 0.5),
        p99_ms=percentile(times, 0.99),
        recall=float(np.mean(shares)),
        megabytes={
            "guidelines": guidelines, "vectors": embeddings - index, "index": index,
        },
    )  # fmt: skip


def growth_figures(points: list[Point]) -> list[Figure]:
    """A few figures a size, and how the slowest searches grow."""
    figures = []
    for p in points:
        size = f"growth: {p.n:,} guidelines"
        note = ", ".join(f"{name} {megabytes:.0f} MB" for name, megabytes in p.megabytes.items())
        figures += [
            Figure(figure=f"{size}, search p50", value=p.p50_ms, unit="ms", n=p.n_queries),
            Figure(figure=f"{size}, search p99", value=p.p99_ms, unit="ms", n=p.n_queries),
            Figure(figure=f"{size}, recall@{K}", value=p.recall, unit="share", n=200),
            Figure(figure=f"{size}, filled", value=p.n / p.fill_s, unit="guidelines/s", n=1),
            Figure(figure=f"{size}, index built and measured", value=p.index_s, unit="s", n=1),
            Figure(
                figure=f"{size}, on disk",
                value=sum(p.megabytes.values()),
                unit="MB",
                n=1,
                note=note,
            ),
        ]
    if len(points) > 1:
        small, large = points[-2:]
        ratio = large.p99_ms / small.p99_ms
        figures.append(
            Figure(
                figure=f"growth: search p99 at {large.n:,} against {small.n:,}",
                value=ratio,
                unit="ratio",
                n=len(points),
                target=f"<= {MAX_GROWTH:.0f}",
                met=ratio <= MAX_GROWTH,
                note="an index is used at a recall of 0.99 alone: a graph of a million needs a"
                " wider search for it, and no cache holds it. A larger hnsw_m buys that back with"
                " the time of the build",
            )
        )
    return figures
