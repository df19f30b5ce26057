"""The cases: one file for each part of the targets, each a function from `Bench` to rows."""
