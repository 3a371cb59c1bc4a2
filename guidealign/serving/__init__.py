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
from guidealign.serving.run import make_loader, serve

__all__ = [
    "SCOPES",
    "Guide",
    "GuidedMessages",
    "KeyEvent",
    "KeyPolicy",
    "NewKey",
    "change_key",
    "create_key",
    "key_events",
    "list_keys",
    "make_loader",
    "revoke_key",
    "rotate_key",
    "serve",
    "show_key",
]
