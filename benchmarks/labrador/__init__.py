"""`make bench AREA=labrador`."""
