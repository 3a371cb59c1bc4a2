"""Ports on 127.0.0.1: the first free one, or who holds the one that was asked for."""

from __future__ import annotations

import socket

import psutil

from guidealign.errors import PlatformError

HOST = "127.0.0.1"
_TRIES = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def holder_of(port: int) -> str:
    """Who listens on a port, for people: name and process id where they can be seen."""
    for connection in psutil.net_connections("tcp"):
        if (
            connection.status == psutil.CONN_LISTEN
            and connection.laddr
            and connection.laddr.port == port
            and connection.pid
        ):
            try:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.NoSuchProcess:
                break
    return "another process"


def choose_port(name: str, wanted: int | None, usual: int, taken: set[int]) -> int:
    """The port that was asked for, or the first free one from the usual one on.

    Raises:
        PlatformError: the port that was asked for is held, or none is free.
    """
    if wanted is not None:
        if not is_free(wanted):
            raise PlatformError(
                f"port {wanted} for {name} is held by {holder_of(wanted)}: end it, or set"
                f" GUIDEALIGN_PLATFORM__{name.upper()}_PORT to another"
            )
        return wanted
    for port in range(usual, usual + _TRIES):
        if port not in taken and is_free(port):
            return port
    raise PlatformError(f"no free port for {name} between {usual} and {usual + _TRIES - 1}")
