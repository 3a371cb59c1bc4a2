"""How far a step is, from what it has stored so far: the same wherever it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guidealign.cycle import store
from guidealign.cycle.model import Count
from guidealign.records import LABRADOR_MODEL, RETRIEVER_MODEL

if TYPE_CHECKING:
    from guidealign.cycle.model import Services


def inputs(services: Services) -> Count:
    """Inputs that are stored."""
    return Count(said=f"{store.count(services.engine, 'inputs')} inputs")


def authored(services: Services) -> Count:
    """Inputs of the queue that are done, and those that are not."""
    from guidealign.authoring import count_queue

    queue = count_queue(engine=services.engine)
    left = queue.open + queue.leased + queue.waiting
    given_up = f", {queue.dead} given up" if queue.dead else ""
    requests, tokens = store.author_spending(services.engine)
    return Count(
        said=f"{queue.done} of {queue.done + left} inputs done{given_up}; {requests:,} requests,"
        f" {tokens:,} tokens",
        done=queue.done,
        left=left,
    )


def candidates(services: Services) -> Count:
    """Guidelines that wait for curation or a person."""
    return Count(said=f"{store.count(services.engine, 'candidates')} candidates")


def embedded(services: Services) -> Count:
    """Vectors of all retrievers."""
    return Count(said=f"{store.count(services.engine, 'vectors')} vectors")


def answered(services: Services) -> Count:
    """Answers of all ways, those of earlier releases too."""
    return Count(said=f"{store.count(services.engine, 'answers')} answers")


def scored(services: Services) -> Count:
    """Results of cases, those of earlier gates too."""
    return Count(said=f"{store.count(services.engine, 'scores')} cases scored")


def retriever_steps(services: Services) -> Count:
    """Steps of the training that runs."""
    return _training_step(services, RETRIEVER_MODEL)


def labrador_steps(services: Services) -> Count:
    """Steps of the training that runs."""
    return _training_step(services, LABRADOR_MODEL)


def _training_step(services: Services, experiment: str) -> Count:
    step = services.registry.running_step(experiment)
    return Count(said="preparing" if step is None else f"step {step}")
