"""`make bench AREA=guidance`."""
