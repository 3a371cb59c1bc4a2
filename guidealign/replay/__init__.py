"""A candidate release over recorded requests, beside what is live; no model is asked."""

from guidealign.replay.model import Recorded, Replay, Requests
from guidealign.replay.page import replay_page, replay_summary
from guidealign.replay.requests import recorded_in_file, recorded_in_inbox
from guidealign.replay.run import default_candidate, prepare_candidate, run_replay
from guidealign.replay.store import keep_replay

__all__ = [
    "Recorded",
    "Replay",
    "Requests",
    "default_candidate",
    "keep_replay",
    "prepare_candidate",
    "recorded_in_file",
    "recorded_in_inbox",
    "replay_page",
    "replay_summary",
    "run_replay",
]
