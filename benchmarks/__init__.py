"""Counts and ratios of the operator, measured in the lab: `python -m benchmarks`."""
