"""How an error reaches a person: one line, exit code 2; the traceback only when asked for."""

from __future__ import annotations

import os
import sys

import typer
from rich.console import Console
from typer.exceptions import TyperException

from guidealign.errors import GuidealignError

USAGE_EXIT = 2
INTERRUPTED_EXIT = 130


def run_guarded(app: typer.Typer) -> None:
    """Runs the command line and turns what goes wrong into a line and an exit code."""
    try:
        code = app(standalone_mode=False)
    except GuidealignError as error:
        if os.environ.get("GUIDEALIGN_DEBUG"):
            Console(stderr=True).print_exception()
        complain(error)
        sys.exit(USAGE_EXIT)
    except TyperException as error:
        message = error.format_message()
        # Where a command is missing the message is the help.
        line = message if "\n" in message else f"guidealign: {message.rstrip('.')} (see --help)"
        sys.stderr.write(f"{line}\n")
        sys.exit(USAGE_EXIT)
    except OSError as error:
        if os.environ.get("GUIDEALIGN_DEBUG"):
            Console(stderr=True).print_exception()
        place = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"guidealign: {place}{error.strerror or error}\n")
        sys.exit(USAGE_EXIT)
    # A command that ends early gives its code back; so does Ctrl-C.
    if code == INTERRUPTED_EXIT:
        sys.stderr.write("guidealign: interrupted\n")
    sys.exit(code)


def complain(what: object) -> None:
    """A line on stderr for each line of what is wrong."""
    for line in str(what).splitlines():
        sys.stderr.write(f"guidealign: {line}\n")


def debug_callback(*, value: bool) -> None:
    """Remembers `--debug` for this process."""
    if value:
        os.environ["GUIDEALIGN_DEBUG"] = "1"
