"""What the triggerer waits for; many of them share one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import structlog
from airflow.triggers.base import BaseTrigger, TriggerEvent

from guidealign.errors import GuidealignError, TransientError
from guidealign.registry import watched_version
from guidealign.settings import load_settings

log = structlog.get_logger()


class RegistryAliasTrigger(BaseTrigger):
    """Fires when a registry alias points to a version above a given one.

    An outage of the registry is waited through; only what waiting cannot mend ends it, as an event
    with the status `error`.
    """

    def __init__(self, model_name: str, alias: str, above: int, poll_s: float) -> None:
        super().__init__()
        self.model_name = model_name
        self.alias = alias
        self.above = above
        self.poll_s = poll_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """For the triggerer's database."""
        return (
            "guidealign_airflow.triggers.RegistryAliasTrigger",
            {
                "model_name": self.model_name,
                "alias": self.alias,
                "above": self.above,
                "poll_s": self.poll_s,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event."""
        uri = load_settings().mlflow.tracking_uri or ""
        while True:
            try:
                version = await watched_version(uri, self.model_name, self.alias)
            except TransientError as error:
                log.warning("registry.away", error=str(error), retry_in_s=self.poll_s)
                version = None
            except GuidealignError as error:
                yield TriggerEvent({"status": "error", "message": str(error)})
                return
            if version is not None and version > self.above:
                yield TriggerEvent({"status": "moved", "version": version})
                return
            await asyncio.sleep(self.poll_s)
