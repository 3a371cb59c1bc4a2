"""`make bench AREA=authoring`."""
