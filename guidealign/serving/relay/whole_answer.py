"""An upstream's answer passed on as a whole, without guidelines."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from guidealign.serving.refusal import Refusal
from guidealign.serving.relay.upstream import Answer
from guidealign.serving.relay.upstream_answer import Usage, read_answer, read_error, read_usage


async def plain_answer(
    found: Answer, own: Mapping[str, str], *, limit: int
) -> tuple[Response, Usage]:
    """An answer that is no stream, as it is, and the tokens that it names.

    Args:
        found: whose body has not been read.
        own: headers of the gateway's.
        limit: bytes.

    Raises:
        Refusal: an error that is not in OpenAI's format, as one that is; 502 or 504: it breaks
            off, stops coming, is too large or nonsense.
    """
    status, usage = found.response.status, Usage()
    if status >= 300:
        own_key = found.upstream.settings.api_key is not None
        content = await read_error(found, own_key=own_key)
        if isinstance(content, Refusal):
            content.headers = dict(own) | content.headers
            raise content
    else:
        content = await read_answer(found, limit=limit)
        if content:
            usage = await read_usage(content, found.upstream.name)
    response = Response(content, status)
    response.raw_headers = [
        *found.headers(own),
        (b"content-length", str(len(content)).encode()),
    ]
    return response, usage
