"""Search over libraries drawn at random, against the same search written in numpy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, text

from guidealign.errors import BadInputError
from guidealign.library import (
    CURATION_VERSION,
    SearchOptions,
    add_vectors,
    build_index,
    drop_embeddings,
    search_hybrid,
    search_vector,
    search_vectors,
    search_words,
    similar_guidelines,
)
from guidealign.records import RetrievedGuideline
from guidealign.settings import LibrarySettings, Settings
from tests.fakes.libraries import unit_vectors

RETRIEVER = 3
# An index over anything, and used whatever its recall: what is tested is that no more than the
# order depends on it.
INDEXED = Settings(
    library=LibrarySettings(exact_below=1, least_recall=0.01, recall_queries=10, index_memory_mb=8)
)
CATEGORIES = ("Insult", "Mental_Health", "Physical_Harm")
ORIGINS = ("starter", "model", "human", "import")
LANGUAGES = ("en", "fr")
SOURCES = ("a.csv", "b.csv")
STATES = ("active", "candidate", "retired", "merged", "quarantined")
SPANS = {
    "active": ("{[1,)}", "{[2,)}", "{[1,2),[3,)}"),
    "retired": ("{[1,2)}", "{[2,3)}"),
    "merged": ("{[1,2)}", "{[1,3)}"),
    "candidate": ("{}",),
    "quarantined": ("{}",),
}
WORDS = ("door", "window", "kettle", "bicycle", "letter")
FEW = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@dataclass(frozen=True)
class Shape:
    """How a library is drawn."""

    seed: int
    n: int
    dimensions: int
    indexed: bool
    n_conflicts: int


@dataclass(frozen=True)
class Library:
    """What the database holds, in memory."""

    ids: NDArray[np.int64]  # (n,)
    vectors: NDArray[np.float32]  # (n, dimensions)
    rows: list[dict[str, Any]]
    conflicts: frozenset[frozenset[int]]

    def matching(self, options: SearchOptions) -> list[int]:
        """Positions of what a search looks among."""
        return [i for i, row in enumerate(self.rows) if _matches(row, options)]

    def nearest(self, query: NDArray[np.float32], k: int, options: SearchOptions) -> list[int]:
        """Ids, nearest first and among equals the lowest, by greedy choice."""
        scores = self.vectors @ query
        order = sorted(self.matching(options), key=lambda i: (-scores[i], self.ids[i]))
        kept: list[int] = []
        for i in order:
            if len(kept) < k and not any(self._apart(i, j, options.distinct_at) for j in kept):
                kept.append(i)
        return [int(self.ids[i]) for i in kept]

    def _apart(self, i: int, j: int, distinct_at: float | None) -> bool:
        """Whether two are not to be found together."""
        if frozenset((int(self.ids[i]), int(self.ids[j]))) in self.conflicts:
            return True
        return distinct_at is not None and float(self.vectors[i] @ self.vectors[j]) >= distinct_at

    def together(self, found: list[int], distinct_at: float | None) -> bool:
        """Whether all that was found may be found together."""
        at = [int(np.searchsorted(self.ids, id_)) for id_ in found]
        pairs = [(i, j) for n, i in enumerate(at) for j in at[:n]]
        return not any(self._apart(i, j, distinct_at) for i, j in pairs)


def _matches(row: dict[str, Any], options: SearchOptions) -> bool:
    for value, allowed in (
        (row["category"], options.categories),
        (row["origin"], options.origins),
        (row["language"], options.languages),
        (row["source"], options.sources),
    ):
        if allowed is not None and value not in allowed:
            return False
    if options.states is not None:
        return row["state"] in options.states
    if options.library_version is None:
        return bool(row["state"] == "active")
    return options.library_version in row["served"] and row["state"] != "retired"


def _quarters(rng: np.random.Generator, n: int, dimensions: int) -> NDArray[np.float32]:
    """Four coordinates of a half up or down: of length 1, and every product is a multiple of a
    quarter, so that any order of summing gives the same and there are many equals."""
    vectors = np.zeros((n, dimensions), dtype=np.float32)
    for vector in vectors:
        places = rng.choice(min(dimensions, 16), size=4, replace=False)
        vector[places] = rng.choice([-0.5, 0.5], size=4)
    return vectors


def _versions_of(span: str) -> set[int]:
    return {v for v in (1, 2, 3) if span in HOLDS[v]}


HOLDS = {
    1: {"{[1,)}", "{[1,2),[3,)}", "{[1,2)}", "{[1,3)}"},
    2: {"{[1,)}", "{[2,)}", "{[2,3)}", "{[1,3)}"},
    3: {"{[1,)}", "{[2,)}", "{[1,2),[3,)}"},
}


def _draw_row(rng: np.random.Generator, number: int) -> dict[str, Any]:
    state = "active" if number == 0 else str(rng.choice(STATES, p=[0.5, 0.1, 0.2, 0.1, 0.1]))
    span = str(rng.choice(SPANS[state]))
    return {
        "h": f"hash {number}",
        "t": " ".join(rng.choice(WORDS, size=2)),
        "b": f"Say something about a {rng.choice(WORDS)}, number {number}.",
        "category": str(rng.choice(CATEGORIES)),
        "origin": str(rng.choice(ORIGINS)),
        "language": str(rng.choice(LANGUAGES)),
        "source": [None, *SOURCES][int(rng.integers(3))],
        "state": state,
        "span": span,
        "served": _versions_of(span),
        "merged_into": 1 if state == "merged" else None,
    }


def _fill(engine: Engine, shape: Shape, *, continuous: bool = False) -> Library:
    """A library in place of what was there."""
    rng = np.random.default_rng(shape.seed)
    rows = [_draw_row(rng, number) for number in range(shape.n)]
    ids = np.arange(1, shape.n + 1, dtype=np.int64)
    vectors = (
        unit_vectors(shape.n, shape.dimensions, shape.seed)
        if continuous
        else _quarters(rng, shape.n, shape.dimensions)
    )
    pairs = {
        tuple(sorted(rng.choice(ids, size=2, replace=False).tolist()))
        for _ in range(shape.n_conflicts)
    }
    drop_embeddings([], engine=engine)
    with engine.begin() as connection:
        for statement in (
            "truncate core.guidelines, core.library_versions restart identity cascade",
            "set local guidealign.restoring = 'on'",
            "insert into core.library_versions (version, digest, n_active, n_added, n_retired,"
            " note, published_by) select v, '', 0, 0, 0, '', '' from generate_series(1, 3) v"
            " order by v",
        ):
            connection.execute(text(statement))
        connection.execute(_INSERT, rows)
        add_vectors(connection, RETRIEVER, ids.tolist(), vectors)
        for n, (left, right) in enumerate(sorted(pairs)):
            status = "dismissed" if n % 3 == 2 else "open"
            connection.execute(_CONFLICT, {"l": left, "r": right, "status": status})
    if shape.indexed:
        assert build_index(RETRIEVER, engine=engine, settings=INDEXED).indexed
    with engine.begin() as connection:
        connection.execute(text("analyze core.guidelines, core.embeddings"))
    opened = {frozenset(pair) for n, pair in enumerate(sorted(pairs)) if n % 3 != 2}
    return Library(ids, vectors, rows, frozenset(opened))


_INSERT = text(
    "insert into core.guidelines (text_hash, title, text, category, origin, language, source,"
    " state, served, merged_into, words) values (:h, :t, :b, :category, :origin, :language,"
    " :source, :state, cast(:span as int4multirange), :merged_into,"
    " to_tsvector('english', :t || ' ' || :b))"
)
_CONFLICT = text(
    "insert into core.conflicts (left_id, right_id, score, status) values (:l, :r, 0.5, :status)"
)


def _some(values: tuple[str, ...]) -> st.SearchStrategy[list[str] | None]:
    return st.one_of(
        st.none(),
        st.lists(st.sampled_from(values), min_size=1, max_size=2),
        st.sampled_from([[], ["nowhere"]]),
    )


SHAPES = st.builds(
    Shape,
    seed=st.integers(0, 10**6),
    n=st.integers(40, 400),
    dimensions=st.sampled_from([16, 32, 64]),
    indexed=st.booleans(),
    n_conflicts=st.sampled_from([0, 0, 60]),
)
OPTIONS = st.builds(
    SearchOptions,
    library_version=st.sampled_from([None, 1, 2, 3]),
    categories=_some(CATEGORIES),
    origins=_some(ORIGINS),
    languages=_some(LANGUAGES),
    sources=_some(SOURCES),
    states=st.one_of(st.none(), st.just(["active"]), _some(STATES)),
)
PLAIN = st.builds(
    SearchOptions,
    library_version=st.sampled_from([None, 1, 2, 3]),
    states=st.sampled_from([None, None, ["active"]]),
)
ASKED = st.lists(
    st.tuples(
        st.one_of(PLAIN, OPTIONS),
        st.sampled_from([1, 6, 20, 500]),
        st.sampled_from([None, None, 0.25, 0.5, 1.0]),
    ),
    min_size=6,
    max_size=12,
)


@pytest.fixture
def always_through_the_index(engine: Engine) -> None:
    """Filters, too: `library.search` compares all matches where they are few."""
    with engine.begin() as connection:
        name = (
            "library.search(vector,int,int,int,text[],text[],text[],text[],text[],float8,boolean)"
        )
        query = text("select pg_get_functiondef(cast(:name as regprocedure))")
        source = connection.execute(query, {"name": name}).scalar_one()
        changed = source.replace(
            "most_compared constant int := 20000", "most_compared constant int := 5"
        )
        assert changed != source
        connection.exec_driver_sql(changed.replace("%", "%%"))


def _search(
    connection: Connection, query: NDArray[np.float32], k: int, options: SearchOptions
) -> list[RetrievedGuideline]:
    return search_vector(
        query, connection=connection, retriever_version=RETRIEVER, k=k, options=options
    )


def _by_function(
    connection: Connection, query: NDArray[np.float32], k: int, options: SearchOptions
) -> list[tuple[int, float]]:
    values = options.values() | {"query": query, "retriever": RETRIEVER, "k": k}
    cursor = connection.connection.driver_connection.cursor(binary=True)
    return cursor.execute(
        "select id, score from library.search(%(query)b, %(retriever)s, %(k)s, %(version)s,"
        " %(categories)s, %(origins)s, %(languages)s, %(sources)s, %(states)s, %(distinct_at)s,"
        " %(exact)s)",
        values,
    ).fetchall()


def _ids(found: list[RetrievedGuideline]) -> list[int]:
    return [hit.guideline_id for hit in found]


@FEW
@given(shape=SHAPES, asked=ASKED)
def test_exact_search_is_the_greedy_choice_over_all(
    engine: Engine, shape: Shape, asked: list[tuple[SearchOptions, int, float | None]]
) -> None:
    library = _fill(engine, shape)
    queries = _quarters(np.random.default_rng(shape.seed + 1), len(asked), shape.dimensions)
    with engine.connect() as connection:
        for query, (options, k, distinct_at) in zip(queries, asked, strict=True):
            wanted = replace(options, distinct_at=distinct_at, exact=True)
            found = _search(connection, query, k, wanted)
            assert _ids(found) == library.nearest(query, k, wanted)
            assert [hit.rank for hit in found] == list(range(1, len(found) + 1))
            own = library.vectors[np.array(_ids(found), dtype=int) - 1] @ query
            assert [hit.score for hit in found] == own.tolist()
            if not shape.indexed:
                assert found == _search(connection, query, k, replace(wanted, exact=False))


@FEW
@given(shape=SHAPES, asked=ASKED)
def test_k_are_found_whenever_k_exist(
    engine: Engine,
    always_through_the_index: None,
    shape: Shape,
    asked: list[tuple[SearchOptions, int, float | None]],
) -> None:
    library = _fill(engine, shape)
    queries = _quarters(np.random.default_rng(shape.seed + 1), len(asked), shape.dimensions)
    with engine.connect() as connection:
        for query, (options, k, distinct_at) in zip(queries, asked, strict=True):
            matching = {int(library.ids[i]) for i in library.matching(options)}
            found = _ids(_search(connection, query, k, options))
            assert set(found) <= matching
            assert library.together(found, None)
            if not library.conflicts:
                assert len(set(found)) == len(found) == min(k, len(matching))
            distinct = _ids(
                _search(connection, query, k, replace(options, distinct_at=distinct_at))
            )
            assert set(distinct) <= matching
            assert library.together(distinct, distinct_at)
            # What was left out has one among the found that keeps it out.
            if len(distinct) < k:
                for other in matching - set(distinct):
                    assert not library.together([*distinct, other], distinct_at)


@FEW
@given(shape=SHAPES, asked=ASKED)
def test_python_and_sql_find_the_same(
    engine: Engine, shape: Shape, asked: list[tuple[SearchOptions, int, float | None]]
) -> None:
    library = _fill(engine, shape, continuous=True)
    queries = unit_vectors(len(asked), shape.dimensions, shape.seed + 1)
    with engine.connect() as connection:
        # Small as it is, the table is read through the index, as a large one would be.
        for name in ("enable_seqscan", "enable_sort", "enable_bitmapscan"):
            connection.exec_driver_sql(f"set {name} = off")
        for query, (options, k, distinct_at) in zip(queries, asked, strict=True):
            for wanted in (
                SearchOptions(),
                SearchOptions(library_version=options.library_version),
                options,
                replace(options, distinct_at=distinct_at),
            ):
                found = _search(connection, query, k, wanted)
                by_function = _by_function(connection, query, k, wanted)
                assert [(hit.guideline_id, hit.score) for hit in found] == by_function
                many = search_vectors(
                    np.stack([query, -query]),
                    engine=engine,
                    retriever_version=RETRIEVER,
                    k=k,
                    options=wanted,
                )
                assert many[0] == found
                assert many[1] == _search(connection, -query, k, wanted)
        connection.rollback()
    assert len(library.rows) == shape.n


def test_the_statement_of_its_own_goes_through_the_index(engine: Engine) -> None:
    _fill(engine, Shape(seed=5, n=400, dimensions=16, indexed=True, n_conflicts=0), continuous=True)
    queries = unit_vectors(20, 16, seed=6)
    with engine.connect() as connection:
        for name in ("enable_seqscan", "enable_sort", "enable_bitmapscan"):
            connection.exec_driver_sql(f"set {name} = off")
        # The functions are away: what is found is found without them.
        connection.exec_driver_sql("alter function core.nearest_3 rename to nearest_away")
        connection.exec_driver_sql("alter function library.search rename to search_away")
        before = _index_scans(connection)
        for version in (None, 1, 3):
            for query in queries:
                options = SearchOptions(library_version=version)
                assert len(_search(connection, query, 1, options)) == 1
        assert _index_scans(connection) > before
        connection.rollback()


def test_a_new_retriever_is_searched_through_its_index_at_once(engine: Engine) -> None:
    n, dimensions = 8_000, 64
    ids = list(range(1, n + 1))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("alter table core.embeddings set (autovacuum_enabled = off)")
    with engine.begin() as connection:
        connection.exec_driver_sql("set local guidealign.restoring = 'on'")
        connection.exec_driver_sql(
            "insert into core.guidelines (text_hash, title, text, category, origin, state, served,"
            " words) select i, 't', 'text ' || i, 'Insult', 'human', 'active', '{[1,)}', ''"
            f" from generate_series(1, {n}) i"
        )
        connection.exec_driver_sql("select core.add_version('test', 'test')")
        add_vectors(connection, 1, ids, unit_vectors(n, dimensions, seed=1))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # From now on the server knows of one retriever, and of next to no vector of another.
        connection.exec_driver_sql("analyze core.embeddings")
    with engine.begin() as connection:
        add_vectors(connection, 2, ids, unit_vectors(n, dimensions, seed=2))
    assert build_index(2, engine=engine, settings=INDEXED).indexed
    query = "[" + ",".join(["0.125"] * dimensions) + "]"
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(
            "explain select guideline_id from core.embeddings where retriever_version = 2"
            f" order by embedding::halfvec(64) <#> '{query}'::vector::halfvec(64) limit 16"
        )
        assert "ix_embeddings_hnsw_2" in "\n".join(plan.scalars())


def _index_scans(connection: Connection) -> int:
    connection.exec_driver_sql("select pg_stat_force_next_flush()")
    query = (
        "select coalesce(sum(pg_stat_get_numscans(i.indexrelid) +"
        " pg_stat_get_xact_numscans(i.indexrelid)), 0) from pg_index i"
        " where i.indexrelid = 'core.ix_embeddings_hnsw_3'::regclass"
    )
    return int(connection.exec_driver_sql(query).scalar_one())


@FEW
@given(
    shape=SHAPES,
    words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=2),
    k=st.sampled_from([1, 6, 60]),
    categories=_some(CATEGORIES),
    languages=_some(LANGUAGES),
)
def test_hybrid_is_reciprocal_rank_fusion(
    engine: Engine,
    shape: Shape,
    words: list[str],
    k: int,
    categories: list[str] | None,
    languages: list[str] | None,
) -> None:
    library = _fill(engine, replace(shape, indexed=False))
    query = _quarters(np.random.default_rng(shape.seed + 1), 1, shape.dimensions)[0]
    options = SearchOptions(categories=categories, languages=languages)
    asked = " or ".join(words)
    with engine.connect() as connection:
        by_words = _ids(search_words(asked, connection=connection, k=max(50, k), options=options))
        fused = search_hybrid(
            asked,
            query,
            connection=connection,
            retriever_version=RETRIEVER,
            k=k,
            options=options,
        )
    matching = {int(library.ids[i]): library.rows[i] for i in library.matching(options)}
    assert set(by_words) <= set(matching)
    with_words = {
        id_ for id_, row in matching.items() if set(words) & set(_split(row["t"] + " " + row["b"]))
    }
    assert len(by_words) == min(max(50, k), len(with_words))
    assert set(by_words) <= with_words
    sums: dict[int, Fraction] = {}
    for places in (by_words, library.nearest(query, max(50, k), options)):
        for rank, id_ in enumerate(places, start=1):
            sums[id_] = sums.get(id_, Fraction(0)) + Fraction(1, 60 + rank)
    expected = sorted(sums, key=lambda id_: (-sums[id_], id_))[:k]
    assert _ids(fused) == expected
    assert [hit.score for hit in fused] == pytest.approx([float(sums[id_]) for id_ in expected])


def _split(words: str) -> list[str]:
    return words.lower().replace(",", " ").replace(".", " ").split()


@pytest.fixture
def small(engine: Engine) -> Engine:
    """Forty guidelines of 16 dimensions."""
    _fill(engine, Shape(seed=1, n=40, dimensions=16, indexed=False, n_conflicts=0))
    return engine


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("library_version", 0),
        ("library_version", 1),
        ("origins", ["human"]),
        ("sources", []),
        ("states", ["active"]),
        ("distinct_at", 0.0),
        ("exact", True),
    ],
)
def test_words_refuse_what_they_cannot_honour(small: Engine, option: str, value: Any) -> None:
    options = SearchOptions(**{option: value})
    vector = np.eye(1, 16, dtype=np.float32)[0]
    with small.connect() as connection:
        with pytest.raises(BadInputError, match=f"by {option.removeprefix('library_')}: only"):
            search_words("door", connection=connection, k=3, options=options)
        with pytest.raises(BadInputError, match="cannot be limited by"):
            search_hybrid(
                "door", vector, connection=connection, retriever_version=3, k=3, options=options
            )


@pytest.mark.parametrize("k", [0, -1])
def test_nothing_asked_for_is_an_error(small: Engine, k: int) -> None:
    vector = np.eye(1, 16, dtype=np.float32)[0]
    with small.connect() as connection:
        for search in (
            lambda: _search(connection, vector, k, SearchOptions()),
            lambda: _search(connection, vector, k, SearchOptions(exact=True)),
            lambda: search_vectors(vector[None], engine=small, retriever_version=3, k=k),
            lambda: search_words("door", connection=connection, k=k),
            lambda: search_hybrid("door", vector, connection=connection, retriever_version=3, k=k),
            lambda: similar_guidelines(1, connection=connection, k=k),
        ):
            with pytest.raises(BadInputError, match="ask for at least 1"):
                search()


@pytest.mark.parametrize("indexed", [False, True])
def test_a_vector_of_another_length_is_an_error(engine: Engine, indexed: bool) -> None:
    _fill(engine, Shape(seed=1, n=60, dimensions=16, indexed=indexed, n_conflicts=0))
    vector = np.eye(1, 32, dtype=np.float32)[0]
    with engine.connect() as connection:
        for search in (
            lambda: _search(connection, vector, 3, SearchOptions()),
            lambda: _search(connection, vector, 3, SearchOptions(categories=["Insult"])),
            lambda: search_vectors(vector[None], engine=engine, retriever_version=3, k=3),
            lambda: search_hybrid("door", vector, connection=connection, retriever_version=3, k=3),
        ):
            with pytest.raises(BadInputError, match=r"vector dimensions 16 and 32.*encode"):
                search()
            # The caller's connection is as good as before.
            assert _search(connection, vector[:16], 3, SearchOptions())
    assert search_vectors(vector[None], engine=engine, retriever_version=9, k=3) == [[]]


def test_similar_leaves_out_the_guideline_itself(small: Engine) -> None:
    vectors = unit_vectors(40, 16, seed=3)
    with small.begin() as connection:
        add_vectors(connection, CURATION_VERSION, list(range(1, 41)), vectors)
    with small.connect() as connection:
        rows = connection.execute(text("select id from core.guidelines where state = 'active'"))
        active = sorted(rows.scalars(), key=lambda id_: -float(vectors[id_ - 1] @ vectors[0]))
        found = similar_guidelines(1, connection=connection, k=5)
    assert _ids(found) == active[1:6]
