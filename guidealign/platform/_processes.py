"""Processes that the platform owns: started in a session each, found again, ended whole.

A service's descendants share its session, also when the service itself was killed, so they
are found by session id; the home folder's marker in their environment finds those that
left the session. Nothing else is ever signalled.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from guidealign.errors import PlatformError
from guidealign.platform.home import Home, ServiceRecord

# Not GUIDEALIGN_...: those are settings.
MARKER = "_GUIDEALIGN_HOME"
SERVICE = "_GUIDEALIGN_SERVICE"
_LOG_LINES = 12


@dataclass(frozen=True)
class Service:
    """How to start one service and how to tell that it is ready."""

    name: str
    command: tuple[str, ...]
    ready: Callable[[], bool]
    port: int | None = None
    env: dict[str, str] = field(default_factory=dict, repr=False)
    stop_signal: signal.Signals = signal.SIGTERM


def start(service: Service, home: Home) -> ServiceRecord:
    """Starts a service in a session of its own, its output in its log."""
    env = os.environ | service.env
    env |= {MARKER: str(home.root), SERVICE: service.name, "GUIDEALIGN_HOME": str(home.root)}
    with home.log(service.name).open("ab") as log:
        process = subprocess.Popen(
            service.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=home.root,
            start_new_session=True,
        )
    return ServiceRecord(process.pid, psutil.Process(process.pid).create_time(), service.port)


def alive(record: ServiceRecord | None) -> bool:
    """Whether that very process still runs."""
    if record is None:
        return False
    try:
        process = psutil.Process(record.pid)
        return (
            abs(process.create_time() - record.created) < 1.0
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.NoSuchProcess:
        return False


def family(name: str, record: ServiceRecord | None, home: Home) -> list[psutil.Process]:
    """A service and all that descends from it, also when its first process is gone."""
    session = record.pid if record and not _is_somebody_else(record) else None
    return [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid()
        and (_session(process) == session is not None or _is_marked(process, home, name))
    ]


def marked(home: Home) -> list[psutil.Process]:
    """Every process that carries this home folder's marker."""
    return [p for p in psutil.process_iter() if p.pid != os.getpid() and _is_marked(p, home, None)]


def _is_somebody_else(record: ServiceRecord) -> bool:
    try:
        return abs(psutil.Process(record.pid).create_time() - record.created) >= 1.0
    except psutil.NoSuchProcess:
        return False


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except (ProcessLookupError, PermissionError):
        return None


def _is_marked(process: psutil.Process, home: Home, name: str | None) -> bool:
    try:
        env = process.environ()
    except psutil.Error:
        return False
    return env.get(MARKER) == str(home.root) and (name is None or env.get(SERVICE) == name)


def end(processes: Iterable[psutil.Process], how: signal.Signals, timeout_s: float) -> None:
    """Asks processes to end, then makes them."""
    waiting = list(processes)
    for process in waiting:
        _signal(process, how)
    _, left = psutil.wait_procs(waiting, timeout=timeout_s)
    for process in left:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(left, timeout=5)


def _signal(process: psutil.Process, how: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(how)


def wait_ready(service: Service, record: ServiceRecord, home: Home, *, deadline: float) -> None:
    """Waits until a service answers.

    Raises:
        PlatformError: it ended or did not answer in time; with the end of its log.
    """
    while not service.ready():
        if not alive(record):
            raise PlatformError(
                f"{service.name} ended while starting\n{log_end(home, service.name)}"
            )
        if time.monotonic() > deadline:
            raise PlatformError(
                f"{service.name} did not become ready in time\n{log_end(home, service.name)}"
            )
        time.sleep(0.25)


def log_end(home: Home, name: str) -> str:
    """The last lines of a service's log, and where the rest is."""
    file = home.log(name)
    return f"{tail(file)}\n(log: {file})"


def tail(file: Path, lines: int = _LOG_LINES) -> str:
    """The last lines of a file."""
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - 8_192))
            text = stream.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def run_once(name: str, command: list[str], env: dict[str, str], home: Home) -> None:
    """Runs a program to its end, its output in its log.

    Raises:
        PlatformError: it ended with an error; with the end of its log.
    """
    marker = {MARKER: str(home.root), SERVICE: name, "GUIDEALIGN_HOME": str(home.root)}
    with home.log(name).open("ab") as log:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | env | marker,
            cwd=home.root,
            check=False,
        )
    if done.returncode != 0:
        raise PlatformError(f"{name} failed\n{log_end(home, name)}")
