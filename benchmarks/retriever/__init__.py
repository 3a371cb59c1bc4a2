"""`make bench AREA=retriever`."""
