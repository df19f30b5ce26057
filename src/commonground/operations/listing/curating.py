"""Verbs for people, vocabularies, entities, features, assets and imports."""

from __future__ import annotations

from commonground.operations.verb import Param, Verb

NAME = Param("name", "What it is called.", required=True, positional=True)
DESCRIPTION = Param("description", "What others should know of it.")
TYPE = Param("type", "The entity type.", required=True)
PATH = Param("path", "The file or folder.", type="path", required=True, positional=True)

VERBS: tuple[Verb, ...] = (
    Verb(
        "person add",
        "studies",
        "person",
        "Add somebody to the study.",
        "owner",
        writes=True,
        params=(
            NAME,
            Param("role", "What they may do.", choices=("reader", "contributor", "curator", "owner")),
            Param("discipline", "What they are, such as radiology."),
            DESCRIPTION,
            Param("logins", "A mail address, user name or account by which they are known.", many=True),
        ),
    ),
    Verb("person list", "studies", "people", "Name everybody in the study.", "reader", writes=False),
    Verb(
        "vocabulary add",
        "vocabularies",
        "vocabulary",
        "Make a vocabulary, with its terms.",
        "curator",
        writes=True,
        params=(
            NAME,
            Param("terms", "A term; give it once for each.", many=True),
            DESCRIPTION,
            Param("ordered", "The terms are steps of a scale.", type="flag"),
        ),
    ),
    Verb("vocabulary list", "vocabularies", "vocabularies", "Name the vocabularies.", "reader", writes=False),
    Verb(
        "term add",
        "vocabularies",
        "terms",
        "Add terms to a vocabulary.",
        "curator",
        writes=True,
        params=(
            Param("vocabulary", "The vocabulary.", required=True, positional=True),
            Param("terms", "A term; give it once for each.", many=True, required=True),
        ),
    ),
    Verb(
        "term list",
        "vocabularies",
        "terms",
        "List the terms of a vocabulary.",
        "reader",
        writes=False,
        params=(Param("vocabulary", "The vocabulary.", required=True, positional=True),),
    ),
    Verb(
        "type add",
        "entities",
        "type",
        "Declare an entity type.",
        "curator",
        writes=True,
        params=(
            NAME,
            Param("columns", 'A column as JSON: {"name": ..., "holds": ..., "target": ...}.', type="json", many=True),
            Param("key_label", "What the natural key is called."),
            DESCRIPTION,
        ),
    ),
    Verb(
        "type extend",
        "entities",
        "columns",
        "Add columns to an entity type.",
        "curator",
        writes=True,
        params=(
            Param("type", "The entity type.", required=True, positional=True),
            Param("columns", "A column as JSON.", type="json", many=True, required=True),
        ),
    ),
    Verb(
        "entity upsert",
        "entities",
        "upsert",
        "Bring entities in by natural key.",
        "contributor",
        writes=True,
        params=(
            TYPE,
            Param("keys", "A natural key.", many=True, required=True),
            Param("columns", "Values by column, as JSON.", type="json", required=True),
        ),
    ),
    Verb(
        "entity merge",
        "entities",
        "merge",
        "Merge a duplicate into the entity it duplicates.",
        "curator",
        writes=True,
        params=(
            TYPE,
            Param("duplicate", "The key of the duplicate.", required=True),
            Param("into", "The key of the entity that stays.", required=True),
        ),
    ),
    Verb(
        "feature add",
        "features",
        "feature",
        "Declare a feature of an entity type.",
        "curator",
        writes=True,
        params=(
            NAME,
            TYPE,
            Param(
                "holds",
                "What a value is.",
                choices=("int", "real", "bool", "text", "date", "time", "instant", "term", "link", "asset"),
            ),
            Param("vocabulary", "The vocabulary of a term."),
            Param("lowest", "The least number allowed.", type="real"),
            Param("highest", "The greatest number allowed.", type="real"),
            Param("ordered", "Values are steps of a scale.", type="flag"),
            Param("unit", "The unit of a number."),
            DESCRIPTION,
        ),
    ),
    Verb(
        "feature list",
        "features",
        "features",
        "List the features.",
        "reader",
        writes=False,
        params=(Param("type", "Only those of this entity type."),),
    ),
    Verb(
        "feature annotate",
        "features",
        "annotate",
        "Write values of a feature; earlier values stay.",
        "contributor",
        writes=True,
        params=(
            Param("feature", "The feature, as malignancy or Nodule.malignancy.", required=True, positional=True),
            Param("keys", "The key of an entity.", many=True, required=True),
            Param("values", "The value for each entity, as JSON.", type="json", many=True, required=True),
            Param("rater", "Who gave the values, if not you."),
            Param("reasons", "Why there is no value, for each entity.", many=True),
            Param("adjudicated", "The value settles a disagreement.", type="flag"),
        ),
    ),
    Verb(
        "import table",
        "importing",
        "table",
        "Import a table as entities, by natural key.",
        "contributor",
        writes=True,
        stages=True,
        params=(
            PATH,
            Param("type", "What a row is; declared if it is not there yet.", required=True),
            Param("key", "The column that tells entities apart.", required=True),
            Param("links", "A column whose values are keys of other entities: site, or ward=Hospital.", many=True),
            Param("terms", "A column whose values are terms: side=Laterality.", type="pairs", many=True),
            Param("types", "What a column holds, if not as it looks: code=text.", type="pairs", many=True),
            DESCRIPTION,
        ),
    ),
)
