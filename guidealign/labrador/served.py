"""Serves what the live release names as Labrador, and follows it: `python -m` this module.

The base's file is mapped once however many processes serve it; a version adds its adapter to it.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Engine

from guidealign.db import PinnedVersions, current_release, make_engine
from guidealign.errors import ConfigurationError, GuidealignError
from guidealign.labrador.adapter_gguf import write_adapter_gguf
from guidealign.platform import ModelServer, asked_to_end
from guidealign.records import LABRADOR_MODEL, UNTRAINED_VERSION
from guidealign.registry import Registry
from guidealign.settings import home_folder, load_settings

_POLL_S = 1.0
_RETRY_S = 30.0
"""After a version that could not be made ready."""

log = structlog.get_logger()


@dataclass
class Follower:
    """One server after the other; what cannot be served leaves the one before in its place."""

    engine: Engine
    registry: Registry
    bare: ModelServer
    """The base alone, under the model's name."""
    version: int | None = None
    """That is served; None: none yet."""
    _server: Any = None
    _refused: tuple[int, float] = (-1, 0.0)

    def follow(self) -> None:
        """Serves the live version, if it is not served yet; a service that is away changes nothing.

        While one server takes the other's place, for the seconds that loading takes, connections
        are refused.
        """
        try:
            live = current_release(self.engine)
        except GuidealignError as error:
            log.warning("labrador.release_unknown", error=str(error))
            return
        wanted = live.labrador_version if live else UNTRAINED_VERSION
        version, until = self._refused
        if wanted == self.version or (wanted == version and time.monotonic() < until):
            return
        try:
            chosen = self._made_ready(wanted)
        except GuidealignError as error:
            log.warning("labrador.refused", version=wanted, serving=self.version, error=str(error))
            self._refused = (wanted, time.monotonic() + _RETRY_S)
            if self.version is not None:
                return
            # Something has to answer, and says by its name what it is.
            wanted, chosen = UNTRAINED_VERSION, self.bare
        self.stop()
        self._server = chosen.start()
        self.version = wanted
        log.info("labrador.served", version=wanted)

    def stop(self) -> None:
        """Ends the server."""
        self._server = None

    def _made_ready(self, version: int) -> ModelServer:
        if version == UNTRAINED_VERSION:
            return self.bare
        package = self.registry.download(LABRADOR_MODEL, version)
        target = home_folder() / "adapters" / f"{LABRADOR_MODEL}-{version}.gguf"
        if not target.is_file():
            write_adapter_gguf(package / "adapter", self.bare.gguf, target)
        names = self.bare.aliases | {f"{LABRADOR_MODEL}-{version}"}
        return replace(self.bare, adapter=target, aliases=names)


def main() -> None:
    """Serves until it is asked to end.

    Raises:
        ConfigurationError: no MLflow server is set.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", type=Path, required=True, help="of the base")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--sleep-idle-s", type=int, default=-1, help="free memory when idle")
    given = parser.parse_args()
    settings = load_settings()
    if settings.mlflow.tracking_uri is None:
        raise ConfigurationError("no MLflow server is set: set GUIDEALIGN_MLFLOW__TRACKING_URI")
    ended = asked_to_end()
    engine = make_engine(settings.require_database_url())
    follower = Follower(
        engine,
        Registry.of(settings.mlflow, PinnedVersions(engine)),
        ModelServer(aliases=frozenset({settings.labrador_server.model}), **vars(given)),
    )
    while True:
        follower.follow()
        if ended.wait(_POLL_S):
            follower.stop()
            return


if __name__ == "__main__":
    main()
