"""The one place that talks to a server: a request out, an answer or an error in.

Requests go through the official client, past its models of every field: building those takes
more time than the rest of a call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from guidealign.errors import ConfigurationError
from guidealign.llm._errors import map_status_error, unanswered, unavailable
from guidealign.llm._ledger import cost_usd
from guidealign.llm.model import ChatResult
from guidealign.settings import EndpointSettings

if TYPE_CHECKING:
    import openai

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Wire:
    """Connections to one endpoint.

    Raises:
        ConfigurationError: the endpoint has no base URL.
    """

    def __init__(self, endpoint: EndpointSettings, stage: str) -> None:
        if not endpoint.base_url:
            raise ConfigurationError(
                f"no model endpoint is configured for {stage}: run `guidealign up`, or set"
                " GUIDEALIGN_SAFETY__BASE_URL and GUIDEALIGN_BASE__BASE_URL"
            )
        self._endpoint = endpoint
        parts = urlsplit(endpoint.base_url)
        host = parts.hostname or endpoint.base_url
        self.where = host if parts.port is None else f"{host}:{parts.port}"
        self._is_local = parts.hostname in _LOOPBACK
        self._client: openai.AsyncOpenAI | None = None

    async def close(self) -> None:
        """Closes the connections; a second call does nothing."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def post(self, body: dict[str, Any]) -> ChatResult:
        """Sends a request and reads the whole answer.

        Raises:
            GuidealignError: what `map_status_error` makes of a status; ServiceUnavailableError
                where there is none.
        """
        started = time.perf_counter()
        with self._errors_mapped():
            async with asyncio.timeout(self._endpoint.timeout_s):
                answer = await self._open().post(
                    "/chat/completions", cast_to=object, body={**body, "model": self._model}
                )
        return self._read(answer, (time.perf_counter() - started) * 1000)

    @property
    def _model(self) -> str:
        return self._endpoint.model

    @contextmanager
    def _errors_mapped(self) -> Iterator[None]:
        import openai

        try:
            yield
        except TimeoutError as error:
            raise unanswered(self.where, self._endpoint.timeout_s) from error
        except openai.APIStatusError as error:
            raise map_status_error(error, self.where) from error
        except openai.APITimeoutError as error:
            # Only connecting has a limit of its own here, and a cut connection reads the same.
            raise unavailable(self.where, "cannot be reached or cut the connection") from error
        except openai.APIConnectionError as error:
            raise unavailable(self.where, "cannot be reached") from error
        except (openai.APIError, ValueError) as error:
            raise unavailable(self.where, "answered with something unreadable") from error

    def _read(self, answer: object, latency_ms: float) -> ChatResult:
        # The client hands through whatever came with status 200, a proxy's HTML page included.
        try:
            choice = answer["choices"][0]  # type: ignore[index]
            text = choice["message"]["content"] or ""
            finish_reason = choice.get("finish_reason") or "stop"
            usage = answer.get("usage")  # type: ignore[attr-defined]
            first_token = _first_token(choice)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise unavailable(
                self.where, "answered with something that is no chat completion"
            ) from error
        usage = usage or {}
        tokens = {
            "prompt_tokens": usage.get("prompt_tokens") or 0,
            "completion_tokens": usage.get("completion_tokens") or 0,
            "cached_tokens": (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0,
        }
        return ChatResult(
            text=text,
            finish_reason=finish_reason,
            model=self._model,
            latency_ms=latency_ms,
            cost_usd=cost_usd(self._endpoint.prices, **tokens),
            first_token=first_token,
            **tokens,
        )

    def _open(self) -> openai.AsyncOpenAI:
        if self._client is None:
            import openai

            # Its defaults allow 1,000 connections: the most that `concurrency` may be.
            http_client = openai.DefaultAioHttpClient(
                # A proxy of the environment is for the outside, never for a local server.
                trust_env=not self._is_local,
                timeout=openai.Timeout(None, connect=self._endpoint.connect_timeout_s),
            )
            self._client = openai.AsyncOpenAI(
                base_url=self._endpoint.base_url,
                api_key=self._endpoint.api_key.get_secret_value(),
                max_retries=0,
                http_client=http_client,
            )
        return self._client


def _first_token(choice: Mapping[str, Any]) -> dict[str, float] | None:
    """What could have stood first in an answer, where the request asked and the server tells."""
    told = (choice.get("logprobs") or {}).get("content") or []
    if not told:
        return None
    found = told[0].get("top_logprobs") or [told[0]]
    return {one["token"]: float(one["logprob"]) for one in found}
