"""How an error reaches a person: one line, exit code 2; the traceback only when asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from rich.console import Console

from guidealign.errors import GuidealignError

USAGE_EXIT = 2
INTERRUPTED_EXIT = 130


def run_guarded(app: Callable[[], None]) -> None:
    """Runs the command line and turns what goes wrong into a line and an exit code."""
    try:
        app()
    except GuidealignError as error:
        if os.environ.get("GUIDEALIGN_DEBUG"):
            Console(stderr=True).print_exception()
        sys.stderr.write(f"guidealign: {error}\n")
        sys.exit(USAGE_EXIT)
    except KeyboardInterrupt:
        sys.stderr.write("guidealign: interrupted\n")
        sys.exit(INTERRUPTED_EXIT)
    except OSError as error:
        if os.environ.get("GUIDEALIGN_DEBUG"):
            Console(stderr=True).print_exception()
        place = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"guidealign: {place}{error.strerror or error}\n")
        sys.exit(USAGE_EXIT)


def debug_callback(*, value: bool) -> None:
    """Remembers `--debug` for this process."""
    if value:
        os.environ["GUIDEALIGN_DEBUG"] = "1"
