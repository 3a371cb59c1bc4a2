"""Guidelines for a conversation in Python, without a server in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from guidealign.errors import BadInputError, ServiceUnavailableError
from guidealign.guidance import Found, Guidance, compose, user_turns
from guidealign.records import CATEGORIES, Release, RetrievedGuideline
from guidealign.serving.overrides import MOST_GUIDELINES
from guidealign.serving.run import make_guidance
from guidealign.settings import Settings, load_settings

Messages = str | Sequence[Mapping[str, Any]]
ReleaseChoice = Literal["live", "candidate"]
"""candidate: the one that `guidealign canary` has declared; where there is none, or it fails, what
is live answers."""


@dataclass(frozen=True, kw_only=True)
class GuidedMessages:
    """A conversation with its guidelines in place."""

    messages: list[dict[str, Any]]
    """To be sent to the model; as they were unless `status` is `injected`."""
    guidelines: tuple[RetrievedGuideline, ...]
    release: Release | None
    status: str
    """injected, abstained, or monitored: found, and not in place, for the policy is not proven for
    the model."""
    reason: str | None = None
    """Why nothing is in place."""
    stale: bool = False
    """The database could not be asked: the last good release answered."""
    canary_id: int | None = None
    """Of the candidate that answered in place of `release`; None: what is live did."""


class Guide:
    """Finds guidelines under what is live, and puts them in front of conversations.

    As the gateway does, it puts them in front of models for which the live policy is proven, or
    vouched for; `serve.unproven` says what becomes of others.

    It follows promotions like the gateway does, and is safe to use from several threads. Close it
    when done, or use it in a `with` block.
    """

    def __init__(self, guidance: Guidance) -> None:
        """Over an engine that has begun; see `from_registry`."""
        self._guidance = guidance

    @classmethod
    def from_registry(cls, settings: Settings | None = None) -> Guide:
        """Under what is live in this installation, or the last good release here.

        Raises:
            ConfigurationError: no database is configured.
            ServiceUnavailableError: nothing is live, or it cannot be loaded.
        """
        settings = settings or load_settings()
        guidance = make_guidance(settings)
        guidance.start()
        if guidance.release is None:
            guidance.close()
            raise ServiceUnavailableError(f"no guidelines can be found: {guidance.fault}")
        return cls(guidance)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends its threads."""
        self._guidance.close()

    def guide(
        self,
        messages: Messages,
        *,
        model: str = "",
        k: int | None = None,
        risks: Sequence[str] | None = None,
        release: ReleaseChoice = "live",
    ) -> GuidedMessages:
        """A conversation with the guidelines for its last user turn in place.

        Args:
            messages: a user's text, or a conversation in OpenAI's form; it is not changed.
            model: its name decides whether guidelines are put in place, and where; for no name
                the policy is proven.
            k: most guidelines; None: as the release has it.
            risks: categories to look among; None: all.
            release: `candidate` asks the one on trial. The gateway draws a share of each key's
                conversations; here are no keys, so the caller says.

        Raises:
            BadInputError: what was given is no conversation, or no such category or choice.
            ServiceUnavailableError: the retriever does not answer.
        """
        conversation, turns = _asked(messages, k, risks)
        candidate = _is_candidate(release)
        found = None
        if turns:
            found = self._guidance.find(turns, k=k, risks=risks, candidate=candidate)
        return self._guided(conversation, found, model)

    async def aguide(
        self,
        messages: Messages,
        *,
        model: str = "",
        k: int | None = None,
        risks: Sequence[str] | None = None,
        release: ReleaseChoice = "live",
    ) -> GuidedMessages:
        """`guide`, while the event loop goes on."""
        conversation, turns = _asked(messages, k, risks)
        candidate = _is_candidate(release)
        found = None
        if turns:
            found = await self._guidance.afind(turns, k=k, risks=risks, candidate=candidate)
        return self._guided(conversation, found, model)

    def _guided(
        self, conversation: list[dict[str, Any]], found: Found | None, model: str
    ) -> GuidedMessages:
        if found is None:
            return GuidedMessages(
                messages=conversation,
                guidelines=(),
                release=self._guidance.release,
                status="abstained",
                reason="no-user-text",
            )
        kept, policy = found.guidelines, found.release.policy
        status, reason = "abstained", found.reason
        if kept and self._guidance.is_guided(found, model):
            conversation = compose(conversation, kept, policy, model=model, turn=found.turn)
            status = "injected"
        elif kept:
            status, reason = "monitored", "unproven"
        return GuidedMessages(
            messages=conversation,
            guidelines=kept,
            release=found.release,
            status=status,
            reason=reason,
            stale=found.stale,
            canary_id=found.canary_id,
        )


def _is_candidate(release: str) -> bool:
    if release not in get_args(ReleaseChoice):
        raise BadInputError(f"release is one of {', '.join(get_args(ReleaseChoice))}")
    return release == "candidate"


def _asked(
    messages: Messages, k: int | None, risks: Sequence[str] | None
) -> tuple[list[dict[str, Any]], list[str]]:
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    conversation = [dict(message) for message in messages]
    if not conversation or not all(isinstance(m.get("role"), str) for m in conversation):
        raise BadInputError("a conversation is at least one message, and each has a role")
    if k is not None and not 1 <= k <= MOST_GUIDELINES:
        raise BadInputError(f"k is a whole number from 1 to {MOST_GUIDELINES}")
    if risks is not None and (unknown := sorted(set(risks) - set(CATEGORIES))):
        raise BadInputError(f"there is no category {unknown[0]!r}")
    return conversation, user_turns(conversation)
