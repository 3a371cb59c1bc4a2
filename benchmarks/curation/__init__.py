"""`make bench AREA=curation`."""
