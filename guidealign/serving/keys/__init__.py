"""API keys: managed by people, checked by the gateway; their policies, limits and gate."""

from guidealign.serving.keys.gate import Arrival, Gate, OpenGate
from guidealign.serving.keys.key_gate import KeyGate
from guidealign.serving.keys.limits import Limiter
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
from guidealign.serving.keys.policy import (
    SCOPES,
    KeyPolicy,
    Scope,
    choose_withholding,
    in_canary,
    is_sampled,
    logs_input,
    new_response_id,
)
from guidealign.serving.keys.ring import KeyRing

__all__ = [
    "SCOPES",
    "Arrival",
    "Gate",
    "KeyEvent",
    "KeyGate",
    "KeyPolicy",
    "KeyRing",
    "Limiter",
    "NewKey",
    "OpenGate",
    "Scope",
    "change_key",
    "choose_withholding",
    "create_key",
    "in_canary",
    "is_sampled",
    "key_events",
    "list_keys",
    "logs_input",
    "new_response_id",
    "revoke_key",
    "rotate_key",
    "show_key",
]
