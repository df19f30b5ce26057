"""The demo: a real clinical study, told by running it."""
