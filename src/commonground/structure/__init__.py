"""The first layer: what exists and how it came to be."""
