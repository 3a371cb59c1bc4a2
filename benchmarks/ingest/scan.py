"""One scan of a file of chats, timed, in a process of its own; prints a JSON object."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from guidealign.ingest import file_source
from guidealign.ingest._sources import open_source
from guidealign.ingest.model import RawRecord
from guidealign.settings import IngestSettings


def scan_bare(path: Path) -> int:
    """The user's turns as Python texts, and nothing else; how many there are."""
    n_texts = 0
    columns = ["conversation.list.element.role", "conversation.list.element.content"]
    for batch in pq.ParquetFile(path).iter_batches(columns=columns):
        turns = pc.list_flatten(batch.column("conversation"))
        by_user = pc.equal(pc.struct_field(turns, "role"), "user")
        n_texts += len(pc.struct_field(turns, "content").filter(by_user).to_pylist())
    return n_texts


def scan_ours(path: Path) -> int:
    """Records as ingest reads them, the digest of the file included; how many there are."""
    source = open_source(file_source(path), None, settings=IngestSettings(), engine=None)
    return sum(isinstance(record, RawRecord) for record in source.records())


def main() -> None:
    """Runs the scan that is named."""
    what, path = sys.argv[1], Path(sys.argv[2])
    begun = time.perf_counter()
    n_texts = {"bare": scan_bare, "ours": scan_ours}[what](path)
    seconds = time.perf_counter() - begun
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "texts": n_texts, "peak_mib": peak_kib / 1024}))


if __name__ == "__main__":
    main()
