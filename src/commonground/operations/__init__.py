"""The verbs: each is a plan that is committed."""
