"""Typed answers: how a form is asked for, and how an answer is read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic

from pydantic import BaseModel, ValidationError

from guidealign.errors import BadInputError
from guidealign.llm.model import ChatResult, Message, ValueT

_MAX_ECHO_CHARS = 1_500
_MAX_PROBLEM_CHARS = 200
_OBJECT_START = re.compile(r'\{(?=\s*["}])')
_DECODER = json.JSONDecoder(strict=False)
"""Small models put real line breaks into strings."""


class UnreadableError(ValueError):
    """An answer does not have the form asked for; the message is a few words for the model."""


@dataclass(frozen=True)
class Form(Generic[ValueT]):
    """What an answer is to be."""

    schema: type[ValueT]
    parse_text: Callable[[str], ValueT] | None = None
    """Reads an answer in plain words; None: only JSON will do."""

    def request(self, messages: list[Message], *, schemas: bool) -> dict[str, Any]:
        """The part of a request that asks for the form.

        An endpoint without a JSON-schema mode is asked in words; where plain words can be read,
        the prompt stays as it is.
        """
        if schemas:
            return {"messages": messages, "response_format": _response_format(self.schema)}
        return {"messages": messages if self.parse_text else _in_words(messages, self.schema)}

    def read(self, result: ChatResult) -> ValueT:
        """The value of an answer, also of one wrapped in words or a code fence.

        Raises:
            UnreadableError: it is not of the form.
        """
        problem = "there is no JSON object in it"
        try:
            # What a JSON-schema mode gives, in one step.
            return self.schema.model_validate_json(result.text)
        except ValidationError as error:
            if error.errors(include_input=False, include_url=False)[0]["type"] != "json_invalid":
                problem = _explain(error)
        for found in _objects(result.text):
            try:
                return self.schema.model_validate_json(json.dumps(found))
            except ValidationError as error:
                problem = _explain(error)
        if self.parse_text is not None:
            try:
                return self.parse_text(result.text)
            except ValidationError as error:
                problem = _explain(error)
            except ValueError as error:
                problem = str(error)[:_MAX_PROBLEM_CHARS]
        if result.finish_reason == "length":
            problem = "the answer was cut off: it must be shorter"
        raise UnreadableError(problem)

    def repair(self, messages: list[Message], answer: str, problem: str) -> list[Message]:
        """The conversation with one more turn, which says what was wrong."""
        form = (
            "in the form asked for"
            if self.parse_text
            else "only one complete JSON object of the form asked for"
        )
        return [
            *messages,
            {"role": "assistant", "content": answer[:_MAX_ECHO_CHARS]},
            {
                "role": "user",
                "content": f"That answer cannot be used ({problem}). Give the corrected answer:"
                f" {form}, nothing else.",
            },
        ]


def schema_of(form: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a type."""
    return dict(_response_format(form)["json_schema"]["schema"])


def refuses_schema(error: BadInputError) -> bool:
    """Whether a refusal is about the JSON-schema mode and not about the question."""
    words = str(error).lower()
    return any(word in words for word in ("response_format", "json_schema", "grammar"))


@lru_cache(maxsize=64)
def _response_format(schema: type[BaseModel]) -> dict[str, Any]:
    form = {"name": schema.__name__, "strict": True, "schema": schema.model_json_schema()}
    return {"type": "json_schema", "json_schema": form}


def _in_words(messages: list[Message], schema: type[BaseModel]) -> list[Message]:
    ask = (
        "\n\nAnswer with one JSON object and nothing else. It must fit this JSON schema:\n"
        + json.dumps(schema_of(schema), separators=(",", ":"))
    )
    return [*messages[:-1], {**messages[-1], "content": messages[-1]["content"] + ask}]


def _objects(text: str) -> Iterator[Any]:
    """The whole JSON objects of a text, the last first: words before an answer may quote others.

    An object that is cut off or broken ends the search: what stands inside it is no answer.
    """
    found: list[Any] = []
    at = 0
    while start := _OBJECT_START.search(text, at):
        try:
            value, at = _DECODER.raw_decode(text, start.start())
        except ValueError:
            break
        found.append(value)
    yield from reversed(found)


def _explain(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the answer"
    return f"{place}: {first['msg']}"
