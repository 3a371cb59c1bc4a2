"""What tests of Labrador's promotion begin with: an empty library, versions, a gate's decisions."""

from __future__ import annotations

import uuid
from pathlib import Path

from sqlalchemy import Engine, text

from guidealign.records import LABRADOR_MODEL
from guidealign.registry import Registry

REASON = "better by 0.2"


def empty_library(engine: Engine) -> None:
    """Version 1 with nothing in it: a release of it lacks no vectors."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into core.library_versions (version, digest, n_active, n_added, n_retired,"
                " note, published_by) select 1, 'd', 0, 0, 0, 'test', 'test'"
                " where not exists (select from core.library_versions)"
            )
        )


def registered(registry: Registry, package: Path) -> int:
    """A version of Labrador with these files; a folder without any gets one."""
    package.mkdir(exist_ok=True)
    if not any(package.iterdir()):
        (package / "weights.txt").write_text("w")
    with registry.run("test", "test", tags={}) as run:
        return registry.register(LABRADOR_MODEL, package, run, tags={}, description="test")


def decide(engine: Engine, version: int, verdict: str = "promote") -> tuple[int, int]:
    """The id of a gate's decision about a version, and the champion that it was held against."""
    query = text(
        "insert into core.gate_decisions (model_name, challenger_version, champion_version,"
        " verdict, reason, policy, evidence, evaluator, input_digest) select :model, :version,"
        " coalesce((select labrador_version from core.releases order by id desc limit 1), 0),"
        " :verdict, :reason, '{}', '[]', 'test', :digest returning id, champion_version"
    )
    values = {
        "model": LABRADOR_MODEL,
        "version": version,
        "verdict": verdict,
        "reason": REASON,
        "digest": uuid.uuid4().hex,
    }
    with engine.begin() as connection:
        made = connection.execute(query, values).one()
    return int(made.id), int(made.champion_version)
