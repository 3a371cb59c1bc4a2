"""The gateway: guidelines in front of any model."""

from guidealign.serving.api import Guide, GuidedMessages
from guidealign.serving.keys import (
    SCOPES,
    KeyEvent,
    KeyPolicy,
    NewKey,
    change_key,
    create_key,
    key_events,
    list_keys,
    revoke_key,
    rotate_key,
    show_key,
)
from guidealign.serving.replay import (
    Replay,
    Requests,
    default_candidate,
    keep_replay,
    prepare_candidate,
    recorded_in_file,
    recorded_in_inbox,
    replay_page,
    replay_summary,
    run_replay,
)
from guidealign.serving.run import make_loader, serve

__all__ = [
    "SCOPES",
    "Guide",
    "GuidedMessages",
    "KeyEvent",
    "KeyPolicy",
    "NewKey",
    "Replay",
    "Requests",
    "change_key",
    "create_key",
    "default_candidate",
    "keep_replay",
    "key_events",
    "list_keys",
    "make_loader",
    "prepare_candidate",
    "recorded_in_file",
    "recorded_in_inbox",
    "replay_page",
    "replay_summary",
    "revoke_key",
    "rotate_key",
    "run_replay",
    "serve",
    "show_key",
]
