"""Requests as they arrive, upstreams, and their answers on the way back to the caller."""

from guidealign.serving.relay.event_stream import EventStream
from guidealign.serving.relay.incoming import (
    CLIENT_CLOSED_REQUEST,
    cancel_on_disconnect,
    is_local_name,
    is_true,
    read_json,
    read_raw,
)
from guidealign.serving.relay.json_body import (
    Body,
    Edit,
    require_messages,
    require_model,
    to_json,
)
from guidealign.serving.relay.refusal_detection import RefusalDetector
from guidealign.serving.relay.relayed_stream import RelayedStream
from guidealign.serving.relay.upstream import RawHeaders, Upstream, UpstreamAnswer
from guidealign.serving.relay.upstream_answer import (
    Usage,
    is_stream,
    whole_answer,
)
from guidealign.serving.relay.upstreams import Upstreams

__all__ = [
    "CLIENT_CLOSED_REQUEST",
    "Body",
    "Edit",
    "EventStream",
    "RawHeaders",
    "RefusalDetector",
    "RelayedStream",
    "Upstream",
    "UpstreamAnswer",
    "Upstreams",
    "Usage",
    "cancel_on_disconnect",
    "is_local_name",
    "is_stream",
    "is_true",
    "read_json",
    "read_raw",
    "require_messages",
    "require_model",
    "to_json",
    "whole_answer",
]
