"""`make bench AREA=airflow`."""
