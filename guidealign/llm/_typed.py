"""A typed answer from one model: asked for, read, and repaired by one more turn."""

from __future__ import annotations

from typing import Any

from guidealign.errors import BadInputError
from guidealign.llm._form import Form, UnreadableError, refuses_schema
from guidealign.llm._lane import Answer, Lane, Question
from guidealign.llm.model import ChatResult, Message, ValueT


async def ask_typed(
    lane: Lane, question: Question, form: Form[ValueT]
) -> tuple[ValueT, ChatResult]:
    """A value from one model, in two tries.

    Raises:
        UnreadableError: the repaired answer is not of the form either.
    """
    messages = question.body["messages"]
    for last in (False, True):
        answer = await _ask_for_form(lane, question, form, messages)
        try:
            value = form.read(answer.result)
        except UnreadableError as error:
            lane.record(answer, "invalid", str(error))
            if last:
                raise
            messages = form.repair(messages, answer.result.text, str(error))
        else:
            lane.record(answer, "ok")
            return value, answer.result
    raise AssertionError("unreachable: the last try returns or raises")


async def _ask_for_form(
    lane: Lane, question: Question, form: Form[Any], messages: list[Message]
) -> Answer:
    if not lane.refuses_schemas:
        try:
            return await lane.ask(question.turn(**form.request(messages, schemas=True)))
        except BadInputError as error:
            if not refuses_schema(error):
                raise
            lane.refuses_schemas = True
    return await lane.ask(question.turn(**form.request(messages, schemas=False)))
