"""Guidance policies: what the settings propose, and how two of them differ."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from guidealign.records import GUIDANCE_POLICY, GuidancePolicy
from guidealign.registry import Registry
from guidealign.settings import RetrievalSettings, Settings


@dataclass(frozen=True, kw_only=True)
class PolicyChange:
    """One field in which two policies differ."""

    name: str
    old: Any
    new: Any


def proposed_policy(settings: Settings) -> GuidancePolicy:
    """The policy that sections `retrieval` and `guidance` of the settings describe."""
    chosen, worded = settings.retrieval, settings.guidance
    return GuidancePolicy(
        preamble=worded.preamble,
        placement=worded.placement,
        placement_by_model=tuple(worded.placement_by_model.items()),
        k=chosen.k,
        n_candidates=max(chosen.n_candidates, chosen.k),
        near_duplicate_threshold=chosen.near_duplicate_threshold,
        topic_rule=worded.topic_rule,
        unsafe_threshold=worded.unsafe_threshold,
        quality_threshold=worded.quality_threshold,
        topic_cosine=worded.topic_cosine,
        context_weight=worded.context_weight,
        sticky=worded.sticky,
        max_tokens=worded.max_tokens,
        form=worded.form,
    )


def policy_sections(policy: GuidancePolicy) -> dict[str, dict[str, Any]]:
    """The settings that propose a policy, by section: `proposed_policy` backwards."""
    worded = asdict(policy) | {"placement_by_model": dict(policy.placement_by_model)}
    chosen = {name: worded.pop(name) for name in RetrievalSettings.model_fields}
    return {"retrieval": chosen, "guidance": worded}


def policy_changes(old: GuidancePolicy, new: GuidancePolicy) -> list[PolicyChange]:
    """The fields in which two policies differ, in the order of the fields."""
    before, after = asdict(old), asdict(new)
    return [
        PolicyChange(name=name, old=before[name], new=value)
        for name, value in after.items()
        if before[name] != value
    ]


def with_k(policy: GuidancePolicy, k: int | None) -> GuidancePolicy:
    """The policy for a request that asks for k guidelines; None: as it is."""
    if k is None:
        return policy
    return replace(policy, k=k, n_candidates=max(k, policy.n_candidates))


def register_policy(policy: GuidancePolicy, registry: Registry) -> int:
    """Keeps the policy's words in MLflow's registry of prompts, once; its version there.

    Raises:
        ServiceUnavailableError: MLflow does not answer.
    """
    template = f"{policy.preamble}\n\n{{{{guidelines}}}}"
    return registry.register_prompt(GUIDANCE_POLICY, template, version=policy.name)
