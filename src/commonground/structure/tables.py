"""Every structural table that the system brings, in reading order; entity types add their own."""

from __future__ import annotations

import sqlalchemy as sa

from commonground.store.schema import Field, batch, stream, temporal, working


def _named(*more: Field) -> list[Field]:
    """Name, the form of it that must be unique, description, and more."""
    return [
        Field("name", "text", required=True),
        Field("name_key", "text", required=True),
        Field("description", "text"),
        *more,
    ]


person = temporal(
    "person",
    _named(
        Field("discipline", "text"),
        Field("role", "text", required=True),
        Field("active", "int", required=True),
    ),
    unique=["name_key"],
)
login = temporal(
    "login",
    [Field("person", "int", required=True, indexed=True), Field("login", "text", required=True)],
    unique=["login"],
)
slot = temporal(
    "slot",
    [Field("scope", "int", required=True, indexed=True), Field("label", "text", required=True)],
    unique=["scope", "label"],
)

vocabulary = temporal("vocabulary", _named(Field("ordered", "int", required=True)), unique=["name_key"])
term = temporal(
    "term",
    [
        Field("vocabulary", "int", required=True, indexed=True),
        *_named(Field("position", "int", required=True), Field("outside_id", "text")),
    ],
    unique=["vocabulary", "name_key"],
)
synonym = temporal(
    "synonym",
    [
        Field("term", "int", required=True, indexed=True),
        Field("text", "text", required=True),
        Field("text_key", "text", required=True),
        Field("discipline", "text"),
        Field("language", "text"),
        Field("false_friend", "int", required=True),
    ],
    unique=["term", "text_key"],
)

entity_type = temporal(
    "entity_type", _named(Field("place", "text", required=True), Field("key_label", "text")), unique=["name_key"]
)
entity_column = temporal(
    "entity_column",
    [
        Field("type", "int", required=True, indexed=True),
        *_named(
            Field("place", "text", required=True),
            Field("holds", "text", required=True),
            Field("target", "int", indexed=True),
            Field("unit", "text"),
            Field("sensitive", "int", required=True),
            Field("position", "int", required=True),
            Field("converted_from", "int"),
        ),
    ],
    unique=["type", "name_key"],
)
bucket = temporal(
    "bucket",
    [Field("type", "int", required=True, indexed=True), Field("first", "int", required=True)],
    unique=["type", "first"],
)
withdrawal = temporal(
    "withdrawal",
    [Field("type", "int", required=True, indexed=True), Field("reason", "text", required=True)],
    unique=["rid"],
)
alias = temporal("alias", [Field("target", "int", required=True, indexed=True)], unique=["rid"])

asset = temporal(
    "asset",
    [
        Field("name", "text", required=True),
        Field("kind", "text", required=True),
        Field("digest", "text", required=True, indexed=True),
        Field("size", "int", required=True),
        Field("media_type", "text"),
        Field("reference", "text"),
        Field("files", "int", required=True),
        Field("description", "text"),
    ],
)
asset_file = batch(
    "asset_file",
    [
        Field("path", "text", required=True),
        Field("digest", "text", required=True),
        Field("size", "int", required=True),
    ],
)

feature = temporal(
    "feature",
    _named(
        Field("type", "int", required=True, indexed=True),
        Field("holds", "text", required=True),
        Field("vocabulary", "int", indexed=True),
        Field("lowest", "real"),
        Field("highest", "real"),
        Field("ordered", "int", required=True),
        Field("unit", "text"),
    ),
    unique=["type", "name_key"],
)


def _values(name: str, kind: str) -> sa.Table:
    return batch(
        name,
        [
            Field("entity", "int", required=True, indexed=True),
            Field("value", kind),
            Field("rater", "int"),
            Field("at", "int"),
            Field("reason", "text"),
            Field("adjudicated", "int"),
        ],
    )


value_int = _values("value_int", "int")
value_real = _values("value_real", "real")
value_text = _values("value_text", "text")
settled = batch(
    "settled",
    [
        Field("entity", "int", required=True, indexed=True),
        Field("place", "int", required=True),
        Field("reading_batch", "int", required=True, indexed=True),
        Field("reading_ordinal", "int", required=True),
    ],
)

dataset = temporal("dataset", _named(), unique=["name_key"])
dataset_label = temporal(
    "dataset_label",
    [
        Field("dataset", "int", required=True, indexed=True),
        Field("axis", "text", required=True),
        Field("label", "text", required=True),
    ],
    unique=["dataset", "axis", "label"],
)
dataset_feature = temporal(
    "dataset_feature",
    [Field("dataset", "int", required=True, indexed=True), Field("feature", "int", required=True, indexed=True)],
    unique=["dataset", "feature"],
)
criteria = temporal(
    "criteria",
    [
        Field("dataset", "int", required=True, indexed=True),
        Field("rule", "text", required=True),
        Field("reason", "text"),
    ],
    unique=["dataset"],
)
member = batch(
    "member",
    [Field("entity", "int", required=True, indexed=True), Field("type", "int", required=True)],
)
nesting = temporal(
    "nesting",
    [Field("parent", "int", required=True, indexed=True), Field("child", "int", required=True, indexed=True)],
    unique=["parent", "child"],
)
version = temporal(
    "version",
    [
        Field("dataset", "int", required=True, indexed=True),
        Field("number", "text", required=True),
        Field("change", "int", required=True),
        Field("digest", "text", required=True),
        Field("manifest", "text", required=True),
        Field("rows", "int", required=True),
        Field("members", "int", required=True),
        Field("description", "text"),
    ],
    unique=["dataset", "number"],
)
version_rater = temporal(
    "version_rater",
    [Field("version", "int", required=True, indexed=True), Field("rater", "int", required=True, indexed=True)],
    unique=["version", "rater"],
)
version_term = temporal(
    "version_term",
    [Field("version", "int", required=True, indexed=True), Field("term", "int", required=True, indexed=True)],
    unique=["version", "term"],
)
part = working(
    "part",
    [Field("digest", "text")],
    [
        Field("content", "text", required=True, indexed=True),
        Field("nonce", "bytes", required=True),
        Field("blob", "text", required=True, indexed=True),
    ],
)
redaction = stream(
    "redaction",
    [Field("blob", "text"), Field("change", "int")],
    [
        Field("replacement", "text", required=True),
        Field("rows", "int", required=True),
        Field("digest", "text", required=True),
    ],
)
doomed = working("doomed", [Field("blob", "text")])

workflow = temporal(
    "workflow",
    [
        Field("name", "text", required=True),
        Field("repository", "text"),
        Field("commit", "text"),
        Field("tree", "text", required=True, indexed=True),
        Field("entry", "text"),
        Field("dirty", "int", required=True),
        Field("code", "text", required=True),
    ],
)
execution = temporal(
    "execution",
    [
        Field("workflow", "int", indexed=True),
        Field("person", "int", indexed=True),
        Field("name", "text", required=True),
        Field("status", "text", required=True, indexed=True),
        Field("reason", "text"),
        Field("scratch", "int", required=True),
        Field("parent", "int", indexed=True),
        Field("place", "text"),
        Field("environment", "text"),
        Field("argv", "text"),
        Field("seed", "text"),
        Field("started_at", "int", required=True),
        Field("ended_at", "int"),
        Field("details", "text"),
    ],
)
param = stream(
    "param",
    [Field("execution", "int"), Field("key", "text")],
    [Field("kind", "text", required=True), Field("num", "real"), Field("txt", "text"), Field("long", "text")],
)
sa.Index("ix_param_num", param.c.key, param.c.num, param.c.execution)
sa.Index("ix_param_txt", param.c.key, param.c.txt, param.c.execution)
metric = stream(
    "metric",
    [Field("execution", "int"), Field("key", "text"), Field("step", "int"), Field("at", "int")],
    [Field("value", "real"), Field("flag", "int")],
)
metric_last = working(
    "metric_last",
    [Field("execution", "int"), Field("key", "text")],
    [
        Field("step", "int", required=True),
        Field("at", "int", required=True),
        Field("value", "real"),
        Field("flag", "int"),
        Field("lowest", "real"),
        Field("highest", "real"),
        Field("points", "int", required=True),
    ],
)
sa.Index("ix_metric_last_value", metric_last.c.key, metric_last.c.value, metric_last.c.execution)
edge = temporal(
    "edge",
    [
        Field("src", "int", required=True),
        Field("dst", "int", required=True),
        Field("relation", "text", required=True),
        Field("role", "text"),
        Field("details", "text"),
    ],
)
# A walk reads nothing but these: all that it asks of an edge lies in the index.
sa.Index("ix_edge_up", edge.c.dst, edge.c.until, edge.c.src, edge.c.since)
sa.Index("ix_edge_down", edge.c.src, edge.c.until, edge.c.dst, edge.c.since)
lease = working(
    "lease",
    [Field("execution", "int")],
    [
        Field("process", "text", required=True),
        Field("spool", "text", required=True),
        Field("seen_at", "int", required=True),
    ],
)
