"""guidealign at home in Airflow: what the DAG files share."""

from guidealign_airflow.assets import (
    ALIGNED_DATASET,
    CANDIDATES,
    INPUT_PARTITIONS,
    INPUTS,
    JUDGES,
    LABRADOR,
    LIBRARY,
    RETRIEVER,
)
from guidealign_airflow.runtime import (
    MODEL_SERVER_POOL,
    STAGE_DEFAULTS,
    TRAINING_POOL,
    Services,
    actor,
    announce,
    connection_url,
    note_run,
    person,
    services,
)

__all__ = [
    "ALIGNED_DATASET",
    "CANDIDATES",
    "INPUTS",
    "INPUT_PARTITIONS",
    "JUDGES",
    "LABRADOR",
    "LIBRARY",
    "MODEL_SERVER_POOL",
    "RETRIEVER",
    "STAGE_DEFAULTS",
    "TRAINING_POOL",
    "Services",
    "actor",
    "announce",
    "connection_url",
    "note_run",
    "person",
    "services",
]
