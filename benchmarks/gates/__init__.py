"""`make bench AREA=gates`."""
