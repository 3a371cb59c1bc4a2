"""What the database says of a soak when it is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import Engine, text

from benchmarks._harness.report import Figure
from benchmarks.gateway.judge import Verdict

_LATE_S = 20.0
"""After which nobody may get what is not live any more; a restart of Postgres included."""
_OF_OTHERS = text(
    "select count(*) from unnest(cast(:ids as bigint[])) as given(id) where not exists"
    " (select from core.guidelines g join core.releases r on g.served @> r.library_version"
    "   join core.embeddings e on e.guideline_id = g.id"
    "     and e.retriever_version = r.retriever_version"
    "   where g.id = given.id and r.id = :release)"
)
_ACCOUNTS = text(
    "select coalesce(sum(n_accepted), 0) as accepted, coalesce(sum(n_stored), 0) as stored,"
    " coalesce(sum(n_dropped), 0) as dropped, bool_and(closed) as closed"
    " from core.gateway_accounts where kind = :kind"
)
_TABLES = {"input": "core.inbox", "request": "core.gateway_requests"}


def strangers(engine: Engine, verdict: Verdict) -> Counter[str]:
    """Guidelines that the release of their answer does not hold."""
    found = 0
    with engine.connect() as connection:
        for release, ids in verdict.given.items():
            values = {"release": release, "ids": sorted(ids)}
            found += connection.execute(_OF_OTHERS, values).scalar_one()
    return Counter({"a guideline of another release": found} if found else {})


def late(
    verdict: Verdict, until: Mapping[int, float], retired: Mapping[int, float]
) -> Counter[str]:
    """Releases and guidelines that were given long after they went.

    Args:
        verdict: with the last request that got them.
        until: when another release took a release's place.
        retired: when a guideline was retired.
    """
    releases = sum(
        verdict.last_release.get(release, 0.0) > at + _LATE_S for release, at in until.items()
    )
    gone = sum(
        verdict.last_given.get(guideline, 0.0) > at + _LATE_S for guideline, at in retired.items()
    )
    found = {"a release that was live no more": releases, "a retired guideline": gone}
    return Counter({what: n for what, n in found.items() if n})


def account_figures(engine: Engine, verdict: Verdict) -> list[Figure]:
    """Whether all that was to be written down is stored or counted as dropped."""
    sent = {"input": verdict.logged, "request": verdict.recorded}
    figures = []
    with engine.connect() as connection:
        for kind, table in _TABLES.items():
            account = connection.execute(_ACCOUNTS, {"kind": kind}).one()
            rows = connection.execute(text(f"select count(*) from {table}")).scalar_one()
            missing = abs(sent[kind] - int(account.dropped) - rows)
            closed = "ended in order" if account.closed else "DID NOT END IN ORDER"
            figures.append(
                Figure(
                    figure=f"soak: {kind}s neither stored nor counted as dropped",
                    value=missing,
                    unit=f"{kind}s",
                    n=sent[kind],
                    target="0",
                    met=missing == 0
                    and rows == account.stored
                    and account.accepted == sent[kind]
                    and bool(account.closed),
                    note=f"{rows} rows; the gateway counts {account.accepted} accepted,"
                    f" {account.stored} stored, {account.dropped} dropped; it {closed}",
                )
            )
    return figures
