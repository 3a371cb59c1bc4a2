"""A PostgreSQL of a test's own, to be killed and started again."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg

from guidealign.db import migrate
from guidealign.platform._postgres import LOCALE, SUPERUSER, binaries, unprivileged

_PATIENCE_S = 60


class OwnPostgres:
    """A server with one migrated database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._run("initdb", "-D", str(self._data), "-U", SUPERUSER, "-A", "trust", "-N", *LOCALE)
        self.start()
        migrate(self.url)

    @property
    def url(self) -> str:
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self._port}/postgres"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def start(self) -> None:
        """Until it answers. What a killed server leaves behind may hold its memory for a moment."""
        # A process that is killed loses nothing that it has handed to the system.
        options = f"-p {self._port} -h 127.0.0.1 -k '' -c fsync=off"
        end = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._run("pg_ctl", "-D", str(self._data), "-w", "-o", options,
                          "-l", str(self._folder / "log"), "start")  # fmt: skip
            except subprocess.CalledProcessError:
                assert time.monotonic() < end, (self._folder / "log").read_text()[-2_000:]
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        """All of it, at once, as a power cut would."""
        pid = int((self._data / "postmaster.pid").read_text().splitlines()[0])
        server = psutil.Process(pid)
        for process in (server, *server.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            try:
                psycopg.connect(self.url, connect_timeout=1).close()
            except psycopg.OperationalError:
                return
        raise AssertionError("the server lives on")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", "immediate", "stop", check=False)

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        command = [*unprivileged(), str(binaries() / program), *arguments]
        # Not a pipe: the server would inherit it and hold it open.
        subprocess.run(command, check=check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """A server that is gone afterwards, whatever happened to it."""
    folder = Path(tempfile.mkdtemp(prefix="guidealign-own-pg-"))
    try:
        server = OwnPostgres(folder)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
