"""The guidance engine: which guidelines an input gets, and how a prompt carries them."""

from guidealign.guidance.canary import (
    CanaryRow,
    Candidate,
    clear_canary,
    declare_canary,
    list_canaries,
    require_candidate,
)
from guidealign.guidance.choice import bounds_for, choose, keep_distinct
from guidealign.guidance.engine import Guidance
from guidealign.guidance.loading import Loader
from guidealign.guidance.model import Encoder, Found, Side
from guidealign.guidance.query import (
    Query,
    conversation_id_of,
    input_turns,
    query_of,
    query_of_turns,
    user_turns,
)
from guidealign.guidance.snapshot import Snapshot
from guidealign.guidance.store import count_unembedded, guidelines, overlay
from guidealign.guidance.words import compose, guideline_prompt, numbered
from guidealign.guidance.worker import Blend, Live

__all__ = [
    "Blend",
    "CanaryRow",
    "Candidate",
    "Encoder",
    "Found",
    "Guidance",
    "Live",
    "Loader",
    "Query",
    "Side",
    "Snapshot",
    "bounds_for",
    "choose",
    "clear_canary",
    "compose",
    "conversation_id_of",
    "count_unembedded",
    "declare_canary",
    "guideline_prompt",
    "guidelines",
    "input_turns",
    "keep_distinct",
    "list_canaries",
    "numbered",
    "overlay",
    "query_of",
    "query_of_turns",
    "require_candidate",
    "user_turns",
]
