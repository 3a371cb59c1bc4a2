"""The gateway: guidelines in front of any model."""

from guidealign.serving.api import Guide, GuidedMessages
from guidealign.serving.run import serve

__all__ = ["Guide", "GuidedMessages", "serve"]
