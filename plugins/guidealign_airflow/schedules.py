"""When ingest and authoring start, by the settings."""

from __future__ import annotations

from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronPartitionTimetable, CronTriggerTimetable

from guidealign.settings import IngestSettings
from guidealign_airflow.assets import INPUTS, watched

_CRON = {"hour": "0 * * * *", "day": "0 0 * * *"}


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
