"""guidealign: guideline libraries that keep language models aligned, continually."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guidealign.serving import Guide

__version__ = "0.1.0"
__all__ = ["Guide", "__version__"]


def __getattr__(name: str) -> Any:
    """`Guide`, read when somebody asks for it: who reads the version waits for nothing."""
    if name != "Guide":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from guidealign.serving import Guide

    return Guide
