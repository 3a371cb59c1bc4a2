"""The assets that chain the stages: each one's event wakes the next stage."""

from __future__ import annotations

from typing import Literal

from airflow.sdk import Asset, AssetWatcher

INPUTS = Asset("guidealign_inputs", uri="guidealign://inputs")
INPUT_PARTITIONS = Asset("guidealign_input_partitions", uri="guidealign://input_partitions")
"""Its events carry the partition; they wake DAGs that are partitioned themselves, and no others."""
CANDIDATES = Asset("guidealign_candidates", uri="guidealign://candidates")
LIBRARY = Asset("guidealign_library", uri="guidealign://library")
RETRIEVER = Asset("guidealign_retriever", uri="guidealign://retriever")
ALIGNED_DATASET = Asset("guidealign_aligned_dataset", uri="guidealign://aligned_dataset")
LABRADOR = Asset("guidealign_labrador", uri="guidealign://labrador")

INBOX_NAME = "guidealign_inbox"


def watched(what: Literal["inbox", "inputs"], poll_s: float) -> Asset:
    """An asset whose events are made by the triggerer: something new waits for a stage.

    Args:
        what: `inbox`, for ingest; `inputs`, for authoring.
        poll_s: between two looks at the database.
    """
    # The triggers bring the registry's client with them, which a DAG without a watcher spares.
    from guidealign_airflow.triggers import WaitingTrigger

    name = INBOX_NAME if what == "inbox" else "guidealign_waiting_inputs"
    watcher = AssetWatcher(name=name, trigger=WaitingTrigger(what, poll_s))
    return Asset(name, uri=f"guidealign://waiting/{what}", watchers=[watcher])
