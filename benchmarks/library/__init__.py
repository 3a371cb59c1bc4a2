"""`make bench AREA=library`."""
