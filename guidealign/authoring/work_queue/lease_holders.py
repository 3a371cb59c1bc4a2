"""Names the workers that hold leases, and frees the leases of those that died on this host."""

from __future__ import annotations

import os
import socket

import psutil
from sqlalchemy import Engine

from guidealign.authoring.work_queue import store
from guidealign.db import give_back_of_dead, guard_database


def holder_name(batch: int) -> str:
    """Returns this process's name for its leases: host, process id with its start time, batch.

    The start time tells a process from a later one with the same id, which is common in
    containers.
    """
    process = psutil.Process(os.getpid())
    return f"{_host()}:{process.pid}.{int(process.create_time())}:{batch}"


def free_dead_holders(engine: Engine) -> int:
    """Frees the leases of workers of this host that are gone; returns how many."""
    with guard_database(), engine.begin() as connection:
        dead = {
            name for name in store.lease_holders(connection, f"{_host()}:") if not _is_alive(name)
        }
        return give_back_of_dead(connection, store.TASK, sorted(dead))


def _host() -> str:
    return socket.gethostname()


def _is_alive(holder: str) -> bool:
    """Whether the process that a holder names runs; what cannot be read counts as alive."""
    process, _, _ = holder.removeprefix(f"{_host()}:").partition(":")
    pid, _, started = process.partition(".")
    if not (pid.isdigit() and started.isdigit()):
        return True
    try:
        return int(psutil.Process(int(pid)).create_time()) == int(started)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
