"""The settings of this installation: checked before a command, written for a first cycle."""

from __future__ import annotations

import sys

from guidealign.cli._errors import complain
from guidealign.cli._shared import console
from guidealign.errors import ConfigurationError
from guidealign.settings import (
    USER_TOML,
    Settings,
    home_folder,
    load_settings,
    tell_unknown_variables,
)

_QUICKSTART = """\
# Settings of this installation; run `guidealign up` after a change. README.md has more.

[author]
# auto: what passes the quality filter is published without a person. The first cycle is to come
# to an end by itself; with a model you have not measured, choose "human".
review_policy = "auto"

[gates]
# Of the {cases} preference cases; all of them take about twice as long on 2 cores.
labrador_cases = 118
"""

_READ_THEM_THEMSELVES = {"up", "status", "doctor", "settings"}


def check_settings(command: str | None) -> None:
    """Refuses to begin a command under wrong settings, and warns of variables that are none.

    What is running can be stopped whatever the settings say: `down` is warned only.

    Raises:
        ConfigurationError: a name is unknown or a value malformed.
    """
    if "--help" in sys.argv:
        return
    if command != "doctor":
        tell_unknown_variables(Settings, lambda line: complain(f"warning: {line}"))
    try:
        if command not in _READ_THEM_THEMSELVES:
            load_settings()
    except ConfigurationError as error:
        if command != "down":
            raise
        for line in str(error).splitlines():
            complain(f"warning: {line}")


def write_first_settings() -> None:
    """Writes settings under which a first cycle ends by itself; there are some: keeps them."""
    file = home_folder() / USER_TOML
    if file.exists():
        return
    from guidealign.evaluation import load_cases
    from guidealign.platform import Home

    Home.current().prepare()
    file.write_text(_QUICKSTART.format(cases=len(load_cases())), encoding="utf-8")
    console.print(f"  settings               written to {file}", highlight=False)
