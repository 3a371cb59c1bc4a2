"""The command line: the same verbs that the DAGs call, for people."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guidealign.cli._app import app

__all__ = ["app", "main"]


def main() -> None:
    """Entry point of the `guidealign` program.

    `gate` works without the platform, often in CI: it does not wait for what the others load.
    """
    from guidealign.cli._errors import run_guarded

    if sys.argv[1:2] == ["gate"]:
        from guidealign.cli.gate import gate_app

        run_guarded(gate_app)
    from guidealign.cli._app import start

    start()


def __getattr__(name: str) -> Any:
    """`app`, read when somebody asks for it."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from guidealign.cli._app import app

    return app
