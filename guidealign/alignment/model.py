"""What alignment speaks of: inputs to answer, answers, the data set they make."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from guidealign.errors import BadInputError
from guidealign.guidance import compose
from guidealign.records import AnswerWay, GuidancePolicy, Release
from guidealign.settings import Settings

EXPERIMENT = "guidealign-align"
"""Of the runs in the registry."""
_VERSIONS: dict[AnswerWay, str] = {
    "plain": "plain-1",
    "guided": "",
    "revised": "/revised-1",
    "teacher": "/teacher",
}
"""How each way words what it asks, beside the guidance policy; bump one when it asks otherwise."""


@dataclass(frozen=True, kw_only=True)
class SampledInput:
    """An input that is to be answered."""

    input_id: int
    text: str
    text_hash: str
    category: str
    known_safe: bool
    """Only where somebody said so; any other input is risky."""


@dataclass(frozen=True, kw_only=True)
class AnswerKey:
    """What an answer depends on besides its input: equal keys, equal answers."""

    way: AnswerWay
    model: str
    prompt_version: str
    library_version: int
    retriever_version: int
    """This and the library's are 0 for plain answers, which depend on neither."""

    @classmethod
    def of(cls, settings: Settings, release: Release, way: AnswerWay = "guided") -> AnswerKey:
        """The key of answers made now.

        The guidance policy and the length limit shape an answer, so both are part of the version
        that is stored.
        """
        if way == "plain":
            return cls.plain(settings)
        return cls(
            way=way,
            model=(settings.safety if way == "teacher" else settings.base).model,
            prompt_version=f"{release.policy.digest}/t{settings.align.max_tokens}{_VERSIONS[way]}",
            library_version=release.library_version,
            retriever_version=release.retriever_version,
        )

    @classmethod
    def plain(cls, settings: Settings) -> AnswerKey:
        """The key of the base's answers without guidelines."""
        return cls(
            way="plain",
            model=settings.base.model,
            prompt_version=f"{_VERSIONS['plain']}/t{settings.align.max_tokens}",
            library_version=0,
            retriever_version=0,
        )


@dataclass(frozen=True, kw_only=True)
class StoredAnswer:
    """An answer as it is kept; `filtered_reason` says why its form keeps it out of data sets."""

    way: AnswerWay
    response_id: int
    """Of plain answers in `core.plain_responses`, of others in `core.aligned_responses`."""
    input_id: int
    input_text: str
    text_hash: str
    response: str
    filtered_reason: str | None


@dataclass(frozen=True)
class Guideline:
    """The words of a guideline, which never change."""

    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class AlignedExample:
    """One lesson for Labrador: an input, and the guided answer to it."""

    input_id: int
    prompt: str
    response: str
    guidelines: tuple[Guideline, ...] = ()
    """That are given with it; none: it learns to do without those that led to the answer."""
    policy: GuidancePolicy | None = None
    """That worded them; None: the data set is older than guidance policies."""
    model: str = ""
    """The base that answered; the policy may place guidelines by its name."""
    known_safe: bool = False
    """Somebody said that the input is harmless."""

    def messages(self) -> list[dict[str, Any]]:
        """As a conversation; the answer is the last of it.

        Raises:
            BadInputError: its guidelines cannot be worded as they were.
        """
        answer = {"role": "assistant", "content": self.response}
        if not self.guidelines:
            return [{"role": "user", "content": self.prompt}, answer]
        if self.policy is None:
            raise BadInputError(
                "the data set is older than guidance policies, so its guidelines cannot be put in"
                " front of its inputs: run the align stage again"
            )
        asked = compose(self.prompt, self.guidelines, self.policy, model=self.model)
        return [*asked, answer]


@dataclass(frozen=True, kw_only=True)
class AlignedData:
    """A stored data set with what it was made from."""

    dataset_id: int
    digest: str
    model: str
    library_version: int
    retriever_version: int
    examples: tuple[AlignedExample, ...]


@dataclass(frozen=True, kw_only=True)
class PreferencePair:
    """Two answers of the same model to one input, of which a rule found one better."""

    input_id: int
    prompt: str
    chosen: str
    """The guided answer."""
    rejected: str
    """The one without guidelines."""


@dataclass(frozen=True, kw_only=True)
class PreferenceData:
    """A stored set of pairs."""

    set_id: int
    digest: str
    dataset_id: int
    """The aligned data set that the guided answers are of."""
    pairs: tuple[PreferencePair, ...]


@dataclass(frozen=True, kw_only=True)
class PreferenceResult:
    """What one comparing of answers did."""

    set_id: int | None
    """None: no pair was separated, so there is no set."""
    dataset_id: int
    digest: str | None
    n: int
    n_asked: int
    """Answers without guidelines that the model wrote now; the others were there."""
    n_failed: int
    dropped: dict[str, int]
    """Pairs left out, by reason."""
    changed: bool

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler's metadata."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class DatasetResult:
    """What one building did; `changed` is False when the same data set was there already."""

    dataset_id: int
    digest: str
    n: int
    n_new: int
    """Answers that models wrote now, of all ways; the others were there."""
    n_filtered: int
    """Inputs that are left out."""
    n_failed: int
    """Answers that a model server refused to give."""
    n_general: int
    """Rows whose input is harmless; the others are risky, or may be."""
    n_flips: int
    """Rows whose plain answer does harm."""
    filtered: dict[str, int]
    """Inputs left out, by reason."""
    ways: dict[str, int]
    """Rows by how their answer was asked for."""
    figures: dict[str, dict[str, float]]
    """For harmful, helps and declines: see `comparison.compare`; empty: nothing was judged."""
    held: str | None
    """Why nothing is learned from it; None: it may be."""
    n_pairs: int | None
    """Preference pairs; None: no preferences are learned, so there are none."""
    changed: bool
    library_version: int
    retriever_version: int
    """Which found the guidelines in front of the answers."""

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler's metadata."""
        return asdict(self)


def dataset_digest(pairs: Iterable[tuple[str, str]]) -> str:
    """SHA-256 (hex) over ordered (hash of the input, response) pairs.

    Lengths go in with the words, so that no two different sequences share a digest by how
    they are joined.
    """
    digest = hashlib.sha256()
    for text_hash, response in pairs:
        for part in (text_hash.encode(), response.encode()):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()
