"""The guideline library: curated, versioned, never rewritten."""

from guidealign.library._embed import embed_texts, encoder_folder
from guidealign.library.model import GuidelineRow, PairRow, PublishResult
from guidealign.library.publish import latest_version, publish, retire
from guidealign.library.starter import install_starter, read_starter
from guidealign.library.store import guidelines_at, pairs_at

__all__ = [
    "GuidelineRow",
    "PairRow",
    "PublishResult",
    "embed_texts",
    "encoder_folder",
    "guidelines_at",
    "install_starter",
    "latest_version",
    "pairs_at",
    "publish",
    "read_starter",
    "retire",
]
