"""The cycle: each stage once, as a table, and what runs it without a scheduler."""

from guidealign.cycle.digests import Digests, digests
from guidealign.cycle.model import (
    MODEL_SERVER_POOL,
    TRAINING_POOL,
    AssetName,
    Context,
    Count,
    Figures,
    Kind,
    Results,
    Services,
    Stage,
    Step,
)
from guidealign.cycle.run import (
    RETRIES,
    RETRY_DELAY_S,
    local_context,
    open_services,
    run_stage,
    run_step,
)
from guidealign.cycle.sources import partition_between
from guidealign.cycle.table import STAGES, stage_named

__all__ = [
    "MODEL_SERVER_POOL",
    "RETRIES",
    "RETRY_DELAY_S",
    "STAGES",
    "TRAINING_POOL",
    "AssetName",
    "Context",
    "Count",
    "Digests",
    "Figures",
    "Kind",
    "Results",
    "Services",
    "Stage",
    "Step",
    "digests",
    "local_context",
    "open_services",
    "partition_between",
    "run_stage",
    "run_step",
    "stage_named",
]
