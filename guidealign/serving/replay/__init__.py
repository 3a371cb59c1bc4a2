"""A candidate release over recorded requests, beside what is live; no model is asked."""

from guidealign.serving.replay.model import Recorded, Replay, Requests
from guidealign.serving.replay.page import replay_page, replay_summary
from guidealign.serving.replay.requests import recorded_in_file, recorded_in_inbox
from guidealign.serving.replay.run import default_candidate, prepare_candidate, run_replay
from guidealign.serving.replay.store import keep_replay

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
