"""Requests as they arrive, upstreams, and their answers on the way back to the caller."""

from guidealign.serving.relay.incoming import (
    GONE,
    is_local_name,
    is_true,
    read_json,
    read_raw,
    while_there,
)
from guidealign.serving.relay.json_body import (
    Body,
    Edit,
    require_messages,
    require_model,
    to_json,
)
from guidealign.serving.relay.refusal_detection import Opening
from guidealign.serving.relay.relayed_stream import RelayedStream
from guidealign.serving.relay.upstream import Answer, RawHeaders, Upstream, Upstreams
from guidealign.serving.relay.upstream_answer import (
    EventStream,
    Usage,
    is_stream,
    read_answer,
    read_error,
    read_usage,
    with_member,
)
from guidealign.serving.relay.whole_answer import plain_answer

__all__ = [
    "GONE",
    "Answer",
    "Body",
    "Edit",
    "EventStream",
    "Opening",
    "RawHeaders",
    "RelayedStream",
    "Upstream",
    "Upstreams",
    "Usage",
    "is_local_name",
    "is_stream",
    "is_true",
    "plain_answer",
    "read_answer",
    "read_error",
    "read_json",
    "read_raw",
    "read_usage",
    "require_messages",
    "require_model",
    "to_json",
    "while_there",
    "with_member",
]
