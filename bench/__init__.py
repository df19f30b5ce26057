"""Benchmarks: side by side with other tools and with what the machine can do at all, in one run."""
