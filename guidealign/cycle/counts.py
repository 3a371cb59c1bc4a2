"""How far a step is, in words, from what it has stored so far: the same wherever it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guidealign.cycle import store
from guidealign.records import LABRADOR_MODEL, RETRIEVER_MODEL

if TYPE_CHECKING:
    from guidealign.cycle.model import Services


def inputs(services: Services) -> str:
    """Inputs that are stored."""
    return f"{store.count(services.engine, 'inputs')} inputs"


def authored(services: Services) -> str:
    """Inputs of the queue that are done, and those that are not."""
    from guidealign.authoring import count_queue

    queue = count_queue(engine=services.engine)
    left = queue.open + queue.leased + queue.waiting
    given_up = f", {queue.dead} given up" if queue.dead else ""
    return f"{queue.done} inputs done, {left} to go{given_up}"


def candidates(services: Services) -> str:
    """Guidelines that wait for curation or a person."""
    return f"{store.count(services.engine, 'candidates')} candidates"


def embedded(services: Services) -> str:
    """Vectors of all retrievers."""
    return f"{store.count(services.engine, 'vectors')} vectors"


def answered(services: Services) -> str:
    """Answers of all ways, those of earlier releases too."""
    return f"{store.count(services.engine, 'answers')} answers"


def scored(services: Services) -> str:
    """Results of cases, those of earlier gates too."""
    return f"{store.count(services.engine, 'scores')} cases scored"


def retriever_steps(services: Services) -> str:
    """Steps of the training that runs."""
    return _training_step(services, RETRIEVER_MODEL)


def labrador_steps(services: Services) -> str:
    """Steps of the training that runs."""
    return _training_step(services, LABRADOR_MODEL)


def _training_step(services: Services, experiment: str) -> str:
    step = services.registry.running_step(experiment)
    return "preparing" if step is None else f"step {step}"
