"""Verbs for executions, their records and their reproduction."""

from __future__ import annotations

from commonground.operations.verb import Param, Verb

_EXECUTION = Param(
    "execution", "Its id, the beginning of it, or its name.", required=True, positional=True
)

VERBS: tuple[Verb, ...] = (
    Verb(
        name="execution start",
        module="executions",
        function="start",
        help="Begin an execution by hand, for work that no program of ours runs.",
        role="contributor",
        writes=True,
        stages=True,
        params=(
            Param("name", "What to call it."),
            Param("inputs", "What it uses: a dataset, a version, an asset.", many=True),
            Param("params", "Its parameters.", type="json"),
            Param("scratch", "Whether it is only a try.", type="flag"),
            Param("parent", "The execution it is part of."),
            Param("argv", "The command line.", many=True),
            Param("place", "Where it runs."),
            Param("started_at", "When it began, UTC microseconds.", type="int"),
        ),
    ),
    Verb(
        name="execution input",
        module="executions",
        function="input",
        help="Say that a running execution uses something more.",
        role="contributor",
        writes=True,
        params=(_EXECUTION, Param("input", "A dataset, a version, an asset.", required=True, positional=True)),
    ),
    Verb(
        name="execution finish",
        module="executions",
        function="finish",
        help="End an execution that was begun by hand.",
        role="contributor",
        writes=True,
        stages=True,
        params=(
            _EXECUTION,
            Param("status", "How it ended.", choices=("finished", "failed", "killed", "lost")),
            Param("reason", "Why, unless it finished."),
            Param("params", "Parameters that were not given before.", type="json"),
            Param("metrics", "What it came to: numbers by name.", type="json"),
            Param("ended_at", "When it ended, UTC microseconds.", type="int"),
        ),
    ),
    Verb(
        name="execution promote",
        module="executions",
        function="promote",
        help="Keep a scratch execution, without running it again.",
        role="contributor",
        writes=True,
        params=(_EXECUTION, Param("name", "A better name for it.")),
    ),
    Verb(
        name="execution get",
        module="execution_reading",
        function="execution",
        help="Show one execution: code, data, parameters, metrics, outputs.",
        role="reader",
        writes=False,
        params=(_EXECUTION,),
    ),
    Verb(
        name="execution find",
        module="execution_reading",
        function="found",
        help="Find executions by what they were told and what they came to.",
        role="reader",
        writes=False,
        params=(
            Param("filter", "Such as: metrics.auc > 0.9 and params.trees = 300", positional=True),
            Param("order", "Such as: -metrics.auc; otherwise the newest first."),
            Param("limit", "How many at most.", type="int"),
            Param("offset", "How many to pass over.", type="int"),
        ),
    ),
    Verb(
        name="execution compare",
        module="execution_reading",
        function="comparison",
        help="Show in what executions differ: code, data, parameters, environment, metrics.",
        role="reader",
        writes=False,
        params=(Param("executions", "Two or more.", required=True, positional=True, many=True),),
    ),
    Verb(
        name="execution metrics",
        module="execution_reading",
        function="metrics",
        help="Show every point of an execution's metrics.",
        role="reader",
        writes=False,
        params=(_EXECUTION, Param("key", "One metric only.")),
    ),
    Verb(
        name="lineage",
        module="lineage",
        function="lineage",
        help="Show what something came from, or what came of it.",
        role="reader",
        writes=False,
        params=(
            Param("rid", "The thing.", required=True, positional=True),
            Param("direction", "up: what it came from; down: what came of it.", choices=("up", "down")),
            Param("depth", "How many steps at most.", type="int"),
            Param("most", "How many things at most.", type="int"),
        ),
    ),
    Verb(
        name="dependents",
        module="lineage",
        function="dependents",
        help="Show which models and results rest on values by somebody, on a term, or on anything else.",
        role="reader",
        writes=False,
        params=(
            Param("rater", "A person, by name or login."),
            Param("term", "A term, as vocabulary.term."),
            Param("rid", "Anything else, by id."),
        ),
    ),
)
