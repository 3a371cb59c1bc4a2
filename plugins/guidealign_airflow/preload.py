"""Imports that the scheduler makes before LocalExecutor forks its workers.

Every task is a process that is forked from a worker. What stages import takes each of them up to
twenty seconds of a processor; imported once before the fork, it is there, in memory that all share.
"""

from __future__ import annotations

import importlib
import sys

import structlog
from airflow.listeners import hookimpl

log = structlog.get_logger()


@hookimpl
def on_starting(component: object) -> None:
    """Imports `airflow.preload`, in the scheduler alone; what is missing is told and left out."""
    del component
    if sys.argv[1:2] != ["scheduler"]:
        return
    from guidealign.errors import ConfigurationError
    from guidealign.settings import load_settings

    try:
        names = load_settings().airflow.preload or ()
    except ConfigurationError as error:
        log.error("nothing imported before the fork", error=str(error))  # noqa: TRY400 - one line
        return
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            log.warning("not imported before the fork", module=name, error=str(error))
