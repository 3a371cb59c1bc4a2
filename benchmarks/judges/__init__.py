"""`make bench AREA=judges`."""
