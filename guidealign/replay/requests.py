"""Requests of the past: out of the inbox, or out of a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from guidealign.db import guard_database
from guidealign.errors import BadInputError
from guidealign.guidance import user_turns
from guidealign.replay.model import Recorded, Requests

# What somebody has stopped logging is not read any more. A record may be missing: it was dropped.
_INBOX = text(
    "select i.response_id, i.text, i.context, k.name, r.guideline_ids, r.guidance,"
    " case when r.canary_id is null and r.guidance in ('injected', 'monitored', 'abstained')"
    " then r.release_id end as release_id"
    " from core.inbox i join core.gateway_keys k on k.id = i.key_id and k.log <> 'off'"
    " left join core.gateway_requests r on r.response_id = i.response_id"
    " order by i.id desc limit :n"
)


def recorded_in_inbox(engine: Engine, *, limit: int) -> Requests:
    """The newest logged requests, oldest first.

    Raises:
        BadInputError: nothing is logged.
        ServiceUnavailableError: the database does not answer.
    """
    with guard_database(), engine.connect() as connection:
        rows = connection.execute(_INBOX, {"n": limit}).all()
    found = [
        Recorded(
            request_id=row.response_id,
            key=row.name,
            turns=(*([row.context] if row.context else []), row.text),
            release_id=row.release_id,
            guideline_ids=tuple(row.guideline_ids or ()),
        )
        for row in reversed(rows)
        if row.text
    ]
    if not found:
        raise BadInputError(
            "no request is logged: `guidealign keys change ID --log all` has them logged from now"
            " on, or give a file of requests"
        )
    return Requests(source="inbox", rows=tuple(found))


def recorded_in_file(file: Path, *, limit: int) -> Requests:
    """Requests of a JSONL file: `text` (and `context`) or `messages`, and `id` and `key`.

    Raises:
        BadInputError: the file or one of its lines cannot be read, or holds no request.
    """
    found: list[Recorded] = []
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if len(found) == limit:
                    break
                if line.strip():
                    found.append(_recorded(line, f"{file}:{number}"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{file} cannot be read: {error}") from error
    if not found:
        raise BadInputError(f"{file} holds no request")
    return Requests(source=str(file), rows=tuple(found))


def _recorded(line: str, place: str) -> Recorded:
    try:
        given = json.loads(line)
        turns = _turns(given)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        turns = []
    if not turns:
        raise BadInputError(
            f"{place} is no request: an object with `text`, a text, or `messages`, a conversation"
        )
    return Recorded(
        request_id=str(given.get("id", place)), key=str(given.get("key", "-")), turns=tuple(turns)
    )


def _turns(given: Mapping[str, Any]) -> list[str]:
    if "messages" in given:
        return user_turns(given["messages"])
    said, context = given["text"], given.get("context")
    asked = user_turns([{"role": "user", "content": said}])
    before = user_turns([{"role": "user", "content": context}]) if context else []
    return [*before, *asked] if asked else []
