"""API keys: made, changed, rotated and revoked by people; checked by the server."""

from guidealign.serving.keys.manage import (
    KeyEvent,
    NewKey,
    change_key,
    create_key,
    key_events,
    list_keys,
    revoke_key,
    rotate_key,
    show_key,
)
from guidealign.serving.keys.ring import KeyRing

__all__ = [
    "KeyEvent",
    "KeyRing",
    "NewKey",
    "change_key",
    "create_key",
    "key_events",
    "list_keys",
    "revoke_key",
    "rotate_key",
    "show_key",
]
