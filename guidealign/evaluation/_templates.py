"""The pages of this room."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment

from guidealign.gates import templates_in


def page_templates() -> Environment:
    """Of the folder `templates` here."""
    return templates_in(Path(__file__).parent / "templates")
