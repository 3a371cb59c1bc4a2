"""guidealign: guideline libraries that keep language models aligned, continually."""

__version__ = "0.1.0"
