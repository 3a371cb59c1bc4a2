"""`make bench AREA=ingest`."""
