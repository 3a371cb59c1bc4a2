"""When stages start: by the assets they read, ingest and authoring also by the settings."""

from __future__ import annotations

from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronPartitionTimetable, CronTriggerTimetable

from guidealign.cycle import stage_named
from guidealign.settings import IngestSettings, load_settings
from guidealign_airflow.assets import INPUTS, asset_named, watched

_CRON = {"hour": "0 * * * *", "day": "0 0 * * *"}


def stage_schedule(name: str) -> Any:
    """When a stage of the cycle starts by itself."""
    reads = stage_named(name).reads
    if reads is None:
        return ingest_schedule(load_settings().ingest)
    return author_schedule(load_settings().ingest) if reads == "inputs" else [asset_named(reads)]


def ingest_schedule(settings: IngestSettings) -> Any:
    """By the clock, when the gateway's inbox fills, both, or by hand alone."""
    if not settings.watch:
        return settings.schedule
    inbox = watched("inbox", settings.watch_poll_s)
    if settings.schedule is None:
        return [inbox]
    timetable = CronTriggerTimetable(settings.schedule, timezone="UTC")
    return AssetOrTimeSchedule(timetable=timetable, assets=[inbox])


def author_schedule(settings: IngestSettings) -> Any:
    """When a run of a DAG took inputs in; with a watcher also when anybody else did."""
    return INPUTS | watched("inputs", settings.watch_poll_s) if settings.watch else [INPUTS]


def partition_schedule(settings: IngestSettings) -> CronPartitionTimetable:
    """The hour or day that ended: its start is the partition's date and key, in UTC."""
    return CronPartitionTimetable(_CRON[settings.partition], timezone="UTC", run_offset=-1)
