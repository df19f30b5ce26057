"""The verbs, listed by what they are about."""
