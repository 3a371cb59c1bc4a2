"""Measurements: `make bench AREA=cycle` and so on."""
