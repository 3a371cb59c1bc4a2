"""The command line: the same verbs that the DAGs call, for people."""

from guidealign.cli._app import app, main

__all__ = ["app", "main"]
