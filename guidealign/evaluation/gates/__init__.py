"""The gates of registered models: what is compared, decided once, and stored with its reasons."""

from guidealign.evaluation.gates._decide import decide, gate

__all__ = ["decide", "gate"]
