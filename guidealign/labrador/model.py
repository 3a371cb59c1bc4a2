"""What the fine-tuning room speaks of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from guidealign.alignment import AlignedData, PreferenceData
from guidealign.platform import BaseModelFiles
from guidealign.settings import LabradorSettings

TRAINER_VERSION = "lora-sft-5"
"""Bump it when the same settings and data would give another model."""

RELOAD_TOLERANCE = 1e-4
"""Largest difference of a logit between the model in memory and the registered files."""


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """What a version was made from: its tags in the registry, its row in the database."""

    base: BaseModelFiles
    data: AlignedData
    settings: LabradorSettings
    preferences: PreferenceData | None = None
    """None: it learns from answers alone."""
    judge: str | None = None
    """Fingerprint of who decides when to stop; None: the held-out loss."""

    def learning_settings(self) -> dict[str, Any]:
        """The settings that shape the model; where the base lies is not one of them."""
        unlike = {"base_gguf", "base_model", "max_cut_share", "pass_tokens", "shard_base"}
        return self.settings.model_dump(exclude=unlike)

    @property
    def settings_key(self) -> str:
        """SHA-256 (hex) over data, base and settings: equal keys, equal models."""
        parts = {
            "trainer": TRAINER_VERSION,
            "base": self.base.digest,
            "data": self.data.digest,
            "settings": self.learning_settings(),
            "preferences": self.preferences.digest if self.preferences else None,
            "harmless": self._harmless(),
            "judge": self.judge,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _harmless(self) -> list[int] | None:
        """Inputs that may be replay; None: the objective does not ask. A review may change them."""
        if self.settings.objective != "on_policy":
            return None
        return sorted(e.input_id for e in self.data.examples if e.known_safe)

    def tags(self) -> dict[str, str]:
        """For the registry."""
        preferences = {"preference_digest": self.preferences.digest} if self.preferences else {}
        return {
            **preferences,
            "base_model": self.base.name,
            "base_digest": self.base.digest,
            "data_digest": self.data.digest,
            "dataset_id": str(self.data.dataset_id),
            "library_version": str(self.data.library_version),
            "retriever_version": str(self.data.retriever_version),
            "trainer": TRAINER_VERSION,
        }
