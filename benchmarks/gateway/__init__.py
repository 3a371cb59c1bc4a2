"""`make bench AREA=gateway`."""
