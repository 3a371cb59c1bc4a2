"""Stands before PostgreSQL and cuts connections in the worst moment: after the commit, before the
answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
_WRITE = b'copy "core"'


class CuttingProxy:
    """Lets every `period`-th commit of a write happen without telling who asked for it."""

    def __init__(self, host: str, port: int, period: int) -> None:
        self._target = (host, port)
        self._period = period
        self._lock = threading.Lock()
        self._n_commits = 0
        self.n_cut = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            for one, other in ((client, server), (server, client)):
                threading.Thread(
                    target=self._pass, args=(one, other, one is client), daemon=True
                ).start()

    def _pass(self, source: socket.socket, sink: socket.socket, from_client: bool) -> None:
        wrote = False
        try:
            while data := source.recv(1 << 16):
                is_commit = from_client and data == _COMMIT
                wrote = wrote or _WRITE in data
                if is_commit and wrote and self._is_cut():
                    # Nothing comes back any more; the server has been told.
                    source.shutdown(socket.SHUT_RDWR)
                    sink.sendall(data)
                    return
                wrote = wrote and not is_commit
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_WR)

    def _is_cut(self) -> bool:
        with self._lock:
            self._n_commits += 1
            cut = self._n_commits % self._period == 0
            self.n_cut += cut
            return cut


@contextmanager
def cutting_proxy(host: str, port: int, *, period: int) -> Iterator[CuttingProxy]:
    """A proxy for as long as the test runs."""
    proxy = CuttingProxy(host, port, period)
    try:
        yield proxy
    finally:
        proxy.close()
