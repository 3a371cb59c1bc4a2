"""An answer that is read as it comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Self

from guidealign.llm.model import ChatResult


class ChatStream:
    """Text of an answer, part by part; afterwards `result` is the whole of it.

        async with client.stream(messages, temperature=0, max_tokens=80) as stream:
            async for text in stream:
                ...
        stream.result

    Nothing is sent before the first part is asked for. Leaving the block ends the request.

    Args:
        parts: the texts, and the result as the last item.
    """

    def __init__(self, parts: AsyncGenerator[str | ChatResult]) -> None:
        self._parts = parts
        self._result: ChatResult | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._parts.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        part = await anext(self._parts)
        if isinstance(part, str):
            return part
        self._result = part
        await self._parts.aclose()
        raise StopAsyncIteration

    @property
    def result(self) -> ChatResult:
        """The whole answer.

        Raises:
            RuntimeError: the stream has not been read to its end.
        """
        if self._result is None:
            raise RuntimeError("a stream has its result once it is read to the end")
        return self._result
