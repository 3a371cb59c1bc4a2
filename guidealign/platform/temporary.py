"""A PostgreSQL for tests and measurements: in a temporary folder, gone afterwards, or kept."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from guidealign.errors import PlatformError
from guidealign.platform._ports import HOST
from guidealign.platform._postgres import LOCALE, SUPERUSER, TUNING, binaries, unprivileged


@contextmanager
def temporary_postgres(
    settings: Mapping[str, str] = TUNING, *, kept_in: Path | None = None
) -> Iterator[str]:
    """URL of the maintenance database of a new server, as superuser without a password.

    Args:
        settings: what the server is started with; by default those of the embedded platform.
        kept_in: folder whose data the next server goes on with; None: nothing is kept.

    Raises:
        PlatformError: it does not start.
    """
    folder = kept_in or Path(tempfile.mkdtemp(prefix="guidealign-pg-"))
    data, port = folder / "data", _free_port()
    init = [str(binaries() / "initdb"), "-D", str(data), "-U", SUPERUSER, "-A", "trust", *LOCALE]
    wanted = {"port": str(port), "listen_addresses": HOST, "unix_socket_directories": "''"}
    options = " ".join(f"-c {name}={value}" for name, value in (wanted | dict(settings)).items())
    control = [str(binaries() / "pg_ctl"), "-D", str(data), "-w", "-t", "300"]
    try:
        if not (data / "PG_VERSION").exists():
            _call([*init, "-N"])
        _call([*control, "-l", str(folder / "log"), "-o", options, "start"])
        try:
            yield f"postgresql://{SUPERUSER}@{HOST}:{port}/postgres"
        finally:
            _call([*control, "-m", "fast" if kept_in else "immediate", "stop"])
    finally:
        if kept_in is None:
            shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _call(command: list[str]) -> None:
    # Not captured by a pipe: the server would inherit it and hold it open.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            [*unprivileged(), *command], check=False, stdout=output, stderr=subprocess.STDOUT
        )
        if done.returncode != 0:
            output.seek(0)
            raise PlatformError(f"{Path(command[0]).name} failed: {output.read().strip()[-500:]}")
