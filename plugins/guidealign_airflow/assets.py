"""The assets that chain the stages of the table: each one's event wakes the next stage."""

from __future__ import annotations

from typing import Literal

from airflow.sdk import Asset, AssetWatcher

from guidealign.cycle import AssetName


def asset_named(name: AssetName) -> Asset:
    """The asset that a stage of the cycle writes."""
    return Asset(f"guidealign_{name}", uri=f"guidealign://{name}")


INPUTS = asset_named("inputs")
INPUT_PARTITIONS = Asset("guidealign_input_partitions", uri="guidealign://input_partitions")
"""Its events carry the partition; they wake DAGs that are partitioned themselves, and no others."""
CANDIDATES = asset_named("candidates")
LIBRARY = asset_named("library")
RETRIEVER = asset_named("retriever")
JUDGES = asset_named("judges")
ALIGNED_DATASET = asset_named("aligned_dataset")
LABRADOR = asset_named("labrador")

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
