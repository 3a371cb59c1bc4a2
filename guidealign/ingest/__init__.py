"""Takes user inputs in: normalised, without duplicates, and with a reason for each reject."""

from guidealign.ingest._text import fold_text, normalize_text, redact_text, text_hash
from guidealign.ingest.model import (
    INBOX_SOURCE,
    IngestResult,
    SourceKind,
    SourceSpec,
    file_source,
    inbox_source,
)
from guidealign.ingest.read import bundled_inbox, ingest_source, prune_inbox
from guidealign.ingest.store import mark_near_duplicates

__all__ = [
    "INBOX_SOURCE",
    "IngestResult",
    "SourceKind",
    "SourceSpec",
    "bundled_inbox",
    "file_source",
    "fold_text",
    "inbox_source",
    "ingest_source",
    "mark_near_duplicates",
    "normalize_text",
    "prune_inbox",
    "redact_text",
    "text_hash",
]
