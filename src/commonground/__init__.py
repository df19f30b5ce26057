"""Common Ground keeps a collaborative machine-learning study reproducible and understood."""
