"""`make bench AREA=cycle`."""
