"""Formats: one file for each, out and in."""
