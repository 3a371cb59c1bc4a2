"""Takes user inputs in: normalised, without duplicates, and with a reason for each reject."""

from guidealign.ingest._text import fold_text, normalize_text, redact_text, text_hash
from guidealign.ingest.made import (
    MadeBatch,
    add_made_input,
    count_made_inputs,
    finish_made_batch,
    open_made_batch,
)
from guidealign.ingest.model import (
    INBOX_SOURCE,
    IngestResult,
    Partition,
    SourceKind,
    SourceSpec,
    file_source,
    inbox_source,
    partition_of,
)
from guidealign.ingest.read import bundled_inbox, ingest_source, prune_inbox
from guidealign.ingest.store import mark_near_duplicates, source_lock

__all__ = [
    "INBOX_SOURCE",
    "IngestResult",
    "MadeBatch",
    "Partition",
    "SourceKind",
    "SourceSpec",
    "add_made_input",
    "bundled_inbox",
    "count_made_inputs",
    "file_source",
    "finish_made_batch",
    "fold_text",
    "inbox_source",
    "ingest_source",
    "mark_near_duplicates",
    "normalize_text",
    "open_made_batch",
    "partition_of",
    "prune_inbox",
    "redact_text",
    "source_lock",
    "text_hash",
]
