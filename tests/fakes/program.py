"""The program `guidealign`, in the test's own process: a new one takes seconds to start."""

from __future__ import annotations

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from subprocess import CompletedProcess
from typing import Any
from unittest import mock

import structlog

from guidealign.cli import main


def run_program(*arguments: str, **environment: str) -> CompletedProcess[str]:
    """What the program prints and returns.

    Args:
        arguments: of its command line.
        environment: variables that it has beside the test's own.
    """
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["guidealign", *arguments]),
        mock.patch.dict(os.environ, environment),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
            code: Any = 0
        except SystemExit as end:
            code = end.code or 0
    structlog.reset_defaults()
    return CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
