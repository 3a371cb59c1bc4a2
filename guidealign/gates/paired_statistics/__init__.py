"""Statistics of paired, clustered differences: intervals, p-values and power."""
