"""What the triggerer waits for; many of them share one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal

import structlog
from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent

from guidealign.errors import GuidealignError, TransientError
from guidealign.registry import poll_alias_version
from guidealign.settings import load_settings
from guidealign_airflow.hooks import DEFAULT_CONNECTION, GuidealignHook

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
        mlflow = load_settings().mlflow
        uri = mlflow.tracking_uri or ""
        while True:
            try:
                version = await poll_alias_version(
                    uri, self.model_name, self.alias, login=mlflow.login
                )
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


class WaitingTrigger(BaseEventTrigger):
    """Fires whenever something new waits for a stage: an asset watcher's trigger.

    It asks the database every `poll_s` seconds, and fires once for what came meanwhile. After a
    restart it fires again for what still waits: a stage that finds nothing new does nothing. An
    outage is waited through.
    """

    def __init__(
        self,
        what: Literal["inbox", "inputs"],
        poll_s: float = 30.0,
        guidealign_conn_id: str = DEFAULT_CONNECTION,
    ) -> None:
        super().__init__()
        self.what = what
        self.poll_s = poll_s
        self.guidealign_conn_id = guidealign_conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """For the triggerer's database."""
        return (
            "guidealign_airflow.triggers.WaitingTrigger",
            {
                "what": self.what,
                "poll_s": self.poll_s,
                "guidealign_conn_id": self.guidealign_conn_id,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """An event for each time something new is found."""
        after = 0
        while True:
            newest = await self._newest(after)
            if newest is not None:
                after = newest
                yield TriggerEvent({"waiting": self.what, "newest_id": newest})
            await asyncio.sleep(self.poll_s)

    async def _newest(self, after: int) -> int | None:
        from guidealign.db import newest_waiting

        try:
            settings = await GuidealignHook(self.guidealign_conn_id).asettings()
            return await newest_waiting(settings.require_database_url(), self.what, after=after)
        except GuidealignError as error:
            log.warning("watch.away", error=str(error), retry_in_s=self.poll_s)
            return None
