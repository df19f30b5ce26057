"""The Python client: a study as an object, with the verbs under their nouns."""
