"""The one list of verbs. Doors are made from it; the file with a verb's functions loads when the verb is used."""

from __future__ import annotations

from commonground.errors import NotFound
from commonground.operations.listing import (
    assets,
    correcting,
    curating,
    datasets,
    evolving,
    executions,
    reading,
    upkeep,
)
from commonground.operations.verb import Verb

VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        *curating.VERBS,
        *evolving.VERBS,
        *assets.VERBS,
        *correcting.VERBS,
        *datasets.VERBS,
        *executions.VERBS,
        *reading.VERBS,
        *upkeep.VERBS,
    )
}


def get_verb(name: str) -> Verb:
    """One verb by its name; raises NotFound."""
    try:
        return VERBS[name]
    except KeyError:
        raise NotFound(f"There is no verb `{name}`.", todo="`cg --help` lists the verbs.") from None
