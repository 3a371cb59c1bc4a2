"""For which models guidance is served: what is proven, and a person's word for it or against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import structlog
from sqlalchemy import Connection, Engine

from guidealign.db import (
    guard_database,
    guidance_policy,
    latest_release,
    lock_proofs,
    read_proof,
    read_proofs,
    store_proof,
)
from guidealign.errors import BadInputError
from guidealign.guidance import guided_model, is_pattern, unproven_models
from guidealign.promotion.store import Note
from guidealign.records import GuidanceProof, Release
from guidealign.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Proven:
    """For which models behind the gateway the live policy is proven or vouched for."""

    release: Release
    proofs: tuple[GuidanceProof, ...]
    """Those of the live policy that count, by model."""
    unproven: tuple[str, ...]
    """Models behind the gateway without one that serves."""
    injects: bool
    """Whether they get guidelines all the same (`serve.unproven`)."""

    def in_words(self) -> str | None:
        """What the gateway does about models without a proof; None: there are none."""
        if not self.unproven:
            return None
        version = self.release.policy_version
        head = f"guidance policy {version} is not proven for {_listed(self.unproven)}:"
        if self.injects:
            return f"{head} guidelines are put in front all the same (serve.unproven is inject)"
        return (
            f"{head} the gateway finds and records guidelines and sends those requests unchanged;"
            f" `guidealign guidance prove --model NAME --policy {version}` measures,"
            " `guidealign guidance override MODEL --reason ...` has them put in front by your word"
        )


def proven(*, engine: Engine, settings: Settings) -> Proven | None:
    """What the live policy is proven for; None: nothing was ever released.

    Raises:
        ServiceUnavailableError: the database does not answer.
    """
    with guard_database(), engine.connect() as connection:
        live = latest_release(connection)
        if live is None:
            return None
        proofs = tuple(read_proofs(connection, live.policy_version))
    return Proven(
        release=live,
        proofs=proofs,
        unproven=unproven_models(live, _serving(proofs), settings),
        injects=settings.serve.unproven == "inject",
    )


def vouch(
    verdict: Literal["override", "revoked"],
    model: str,
    *,
    policy_version: int | None,
    engine: Engine,
    settings: Settings,
    note: Note,
) -> tuple[GuidanceProof, bool]:
    """Has guidance served to a model by a person's word, or no longer served.

    Args:
        verdict: which of the two.
        model: as a request names it; Labrador without a version is the one of the live release.
        policy_version: of the guidance policy; None: the live one.
        engine: of the guidealign database.
        settings: of the installation.
        note: who, and why.

    Returns:
        The stored word, and whether a model of this name is behind the gateway.

    Raises:
        BadInputError: there is no such policy, it is so already, the name is a pattern, or no
            reason was given.
        ServiceUnavailableError: the database does not answer.
    """
    require_reason(note)
    if not model.strip():
        raise BadInputError("guidance is served to a model: name one")
    if is_pattern(model):
        raise BadInputError(f"{model} is no model but a pattern: name each model by itself")
    with guard_database(), engine.begin() as connection:
        lock_proofs(connection)
        live = latest_release(connection)
        version = policy_version
        if version is None and live is not None:
            version = live.policy_version
        if version is None or guidance_policy(connection, version) is None:
            raise BadInputError(
                "there is no such guidance policy: `guidealign guidance list` has those there are"
            )
        labrador = live.labrador_version if live else 0
        known_as = guided_model(model, settings=settings, labrador_version=labrador)
        before = read_proof(connection, version, known_as)
        serves, revoked = (before.serves, before.verdict == "revoked") if before else (False, False)
        already = serves if verdict == "override" else revoked
        if already:
            state = "is served" if serves else "is not served"
            raise BadInputError(f"guidance policy {version} {state} to {known_as} already")
        proof = _store(connection, verdict, version, known_as, note)
    behind = live is not None and (
        unproven_models(live, (known_as,), settings) != unproven_models(live, (), settings)
    )
    return proof, behind


def require_proven(connection: Connection, live: Release, version: int, settings: Settings) -> None:
    """Refuses a policy that would put guidelines in front of no model behind the gateway.

    Raises:
        BadInputError: it is proven for none of them.
    """
    behind = unproven_models(live, (), settings)
    unproven = unproven_models(live, _serving(read_proofs(connection, version)), settings)
    if settings.serve.unproven == "monitor" and behind and unproven == behind:
        raise BadInputError(
            f"this guidance policy is not proven for {_listed(unproven)}: run `guidealign guidance"
            " prove`, or adopt it by your word with `--unproven --reason ...`"
        )


def vouch_for_named(
    connection: Connection, live: Release, version: int, settings: Settings, note: Note
) -> None:
    """Has a policy served to every model behind the gateway that it is not proven for.

    Where an upstream takes models of any name, each is vouched for by itself: `vouch`.
    """
    lock_proofs(connection)
    for model in unproven_models(live, _serving(read_proofs(connection, version)), settings):
        if not is_pattern(model):
            _store(connection, "override", version, model, note)


def require_reason(note: Note) -> None:
    """Refuses a step that nobody gives a reason for.

    Raises:
        BadInputError: there is none.
    """
    if not note.reason.strip():
        raise BadInputError("a policy is adopted, overridden and revoked with a reason (--reason)")


def _store(
    connection: Connection,
    verdict: Literal["override", "revoked"],
    version: int,
    model: str,
    note: Note,
) -> GuidanceProof:
    proof = GuidanceProof(
        policy_version=version, model=model, verdict=verdict, actor=note.actor, reason=note.reason
    )
    store_proof(connection, proof)
    log.info("guidance vouched", verdict=verdict, policy=version, model=model)
    return proof


def _serving(proofs: Sequence[GuidanceProof]) -> list[str]:
    return [proof.model for proof in proofs if proof.serves]


def _listed(names: Sequence[str]) -> str:
    return ", ".join("any model" if name == "*" else name for name in names)
