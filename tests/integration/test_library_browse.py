"""Lists of the library: what fits, in which order, page by page, and what it can be limited to."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from guidealign.library import (
    PAGE_SIZE,
    BrowseFilter,
    browse_guidelines,
    library_sources,
)

# Of 200: 1 to 120 served, 121 to 140 wait, 141 to 160 are retired; the rest is served too, and
# every third of all speaks of ladders, twice where its number is even.
_FILL = """
set local session_replication_role = replica;
insert into core.library_versions (version, digest, n_active, n_added, n_retired, note,
                                   published_by) values (1, 'd', 0, 0, 0, 'n', 't');
insert into core.guidelines (id, text_hash, title, text, category, origin, state, source, served,
                             words)
overriding system value
select n, 'h' || n, t.title, t.body, case when n % 2 = 0 then 'Insult' else 'Physical_Harm' end,
       'import', s.state, (array['b', 'a', null])[1 + n % 3],
       case when s.state = 'active' then '{[1,)}'::int4multirange else '{}' end,
       case when s.state = 'active' then to_tsvector('english', t.title || ' ' || t.body) end
  from generate_series(1, 200) n
  cross join lateral (select case when n between 121 and 140 then 'candidate'
    when n between 141 and 160 then 'retired' else 'active' end) s (state)
  cross join lateral (select 'Rule ' || n, case when n % 3 = 0
    then 'Hold the ladder' || case when n % 2 = 0 then ', and the ladder again' else '' end
    else 'Ask first' end) t (title, body);
"""


@pytest.fixture
def filled(engine: Engine) -> Engine:
    with engine.begin() as connection:
        connection.exec_driver_sql(_FILL, execution_options={"no_parameters": True})
    return engine


def _ids(engine: Engine, page: int, **chosen: object) -> tuple[list[int], int]:
    sort = str(chosen.pop("sort", "best match"))
    found = browse_guidelines(BrowseFilter(**chosen), engine=engine, sort=sort, page=page)  # type: ignore[arg-type]
    return [row.id for row in found.rows], found.n


def test_words_find_what_is_served_and_what_waits_best_first(filled: Engine) -> None:
    first, n = _ids(filled, 1, words="ladders")
    second, _ = _ids(filled, 2, words="ladders")
    # Multiples of 3 to 200 are 66; of them 141, 144, ... 159 (7) are retired.
    expected = [n for n in range(3, 201, 3) if not 141 <= n <= 160]
    assert n == len(expected) == 59
    assert len(first) == PAGE_SIZE
    twice = [n for n in expected if n % 2 == 0]
    once = [n for n in expected if n % 2]
    assert first + second == twice + once


def test_a_page_past_the_last_one_is_empty_and_still_counted(filled: Engine) -> None:
    assert _ids(filled, 3, words="ladders") == ([], 59)
    assert _ids(filled, 99) == ([], 200)
    assert _ids(filled, 1, words="unicorns") == ([], 0)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"state": "retired"}, [141 + 3 * i for i in range(7)]),
        ({"state": "candidate"}, [123, 126, 129, 132, 135, 138]),
        ({"category": "Physical_Harm", "version": 1}, list(range(3, 201, 6))),
        ({"source": "a"}, []),
    ],
)
def test_words_and_filters_hold_together(
    filled: Engine, chosen: dict[str, object], expected: list[int]
) -> None:
    ids, n = _ids(filled, 1, words="ladder", **chosen)
    served = [i for i in expected if chosen.get("state") or not 121 <= i <= 160]
    assert (sorted(ids), n) == (served, len(served))


def test_without_words_the_order_is_the_one_asked_for(filled: Engine) -> None:
    assert _ids(filled, 1)[0] == list(range(200, 150, -1))
    assert _ids(filled, 4, sort="oldest")[0] == list(range(151, 201))
    assert _ids(filled, 1, sort="title")[0][:4] == [1, 10, 100, 101]


def test_each_source_is_listed_once(filled: Engine) -> None:
    assert library_sources(engine=filled) == ["a", "b"]


def test_an_empty_library_is_an_empty_list(engine: Engine) -> None:
    assert library_sources(engine=engine) == []
    assert _ids(engine, 1) == ([], 0)
