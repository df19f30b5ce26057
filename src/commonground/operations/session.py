"""A session: one person at work in one open study. The only place that commits.

One verb = one plan = one transaction = one change. `commit` checks the role, stages bulk rows and files while others
go on writing, then under the lock: the same plan again, what the plan relied on, the rows, the link of the chain.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from commonground.errors import CommonGroundError, Conflict, NotAllowed
from commonground.identity import Actor, Rid
from commonground.operations.arguments import check_arguments
from commonground.operations.plans import Bulk, Committed, Plan, Reading, Role
from commonground.operations.registry import VERBS, get_verb
from commonground.operations.verb import Verb
from commonground.store import batches, changes, schema
from commonground.store.batches import StagedBatch
from commonground.store.changes import Change
from commonground.store.faults import point
from commonground.store.ground import Ground
from commonground.store.transaction import Transaction
from commonground.store.view import View
from commonground.structure.column_types import read_text
from commonground.structure.screen_told import screen_words
from commonground.structure.telling_words import without_names

ATTEMPTS = 10
WORDS = ("description", "reason", "basis")
"""Arguments that are sentences for others to read, at whatever verb."""


class Session:
    """One person at work in one study."""

    def __init__(self, ground: Ground, actor: Actor, role: Role) -> None:
        self.ground = ground
        self.actor = actor
        self.role = role

    @contextlib.contextmanager
    def reading(self, at: int | None = None) -> Iterator[Reading]:
        """A snapshot to read and plan from, now or as of a change."""
        with self.ground.view(at) as view:
            yield Reading(view, self.ground, self.actor, self.role)

    def plan(self, verb: str, /, **args: object) -> Plan:
        """What a write verb would do."""
        declared = get_verb(verb)
        check_arguments(declared, args)
        args |= {name: screen_words(text) for name in WORDS if isinstance(text := args.get(name), str)}
        with self.reading() as on:
            plan: Plan = _function(declared, "plan")(on, **args)
        return plan

    def read(self, verb: str, /, *, at: int | None = None, **args: object) -> Any:  # noqa: ANN401 - each verb has its own result
        """What a read verb answers."""
        declared = get_verb(verb)
        self._check_role(declared)
        check_arguments(declared, args)
        with self.reading(at) as on:
            return _function(declared, "read")(on, **args)

    def write(self, verb: str, /, *, why: str | None = None, **args: object) -> Committed:
        """Plan and commit; a verb that says how things shall be is planned anew if somebody else was faster."""
        attempts = ATTEMPTS if get_verb(verb).states else 1
        for attempt in range(1, attempts + 1):
            try:
                return self.commit(self.plan(verb, **args), why, new=True)
            except Conflict:
                if attempt == attempts:
                    raise
        raise AssertionError

    def commit(
        self,
        plan: Plan,
        why: str | None = None,
        *,
        made_at: int | None = None,
        new: bool = False,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Committed:
        """Make a plan real, once.

        `new` says that the plan was made a moment ago, so that it is not looked for before its files and rows are
        prepared; under the lock it is looked for in any case. Raises NotAllowed for a role that may not, Conflict if
        what the plan relied on has changed.
        """
        verb = get_verb(plan.verb)
        self._check_role(verb)
        self._check_needs(plan)
        self._check_judge(verb, plan)
        why = why or plan.why
        if why is not None:
            read_text(why)
            why = without_names(plan.unsaid, screen_words(why))
        if plan.nothing:
            return Committed(plan, None)
        done = None if new else self.find_done(plan)
        if done is not None:
            return done
        # Files that are staged here are wanted by no row yet; holding keeps a collection from taking them.
        with self.ground.blobs.holding():
            change = self._stage_and_write(verb, plan, why, made_at, progress)
        if verb.finishes:
            _function(verb, "finish")(self.ground, plan)
        return Committed(plan, change)

    def _stage_and_write(
        self, verb: Verb, plan: Plan, why: str | None, made_at: int | None, progress: Callable[[int], None]
    ) -> Change:
        staged: list[StagedBatch] = []
        try:
            # One by one, so that what is staged when the next one fails is known and discarded.
            staged.extend(self._stage(bulk, progress) for bulk in plan.bulk if _is_large(bulk))
            prepared = [_function(verb, "stage")(self.ground, plan)] if verb.stages else []
            return self._write(verb, plan, why, made_at, {one.batch: one for one in staged}, prepared)
        except BaseException:
            tables = {bulk.batch: _table(bulk) for bulk in plan.bulk}
            with contextlib.suppress(CommonGroundError):
                for one in staged:
                    batches.discard(self.ground.database, tables[one.batch], one.batch)
            raise

    def _write(
        self,
        verb: Verb,
        plan: Plan,
        why: str | None,
        made_at: int | None,
        staged: Mapping[Rid, StagedBatch],
        prepared: Sequence[object],
    ) -> Change:
        with self.ground.change() as tx:
            first = changes.find_plan(tx.connection, plan.id)
            if first is not None:
                return first
            _check_reads(tx, plan)
            _check_sweeps(tx, plan)
            if verb.sweeps and tx.change - 1 > plan.at:
                # Who came in between may have named what this takes away.
                _function(verb, "recheck")(self.ground, View(tx.connection, tx.change - 1, current=True), plan)
            _function(verb, "apply")(tx, plan, *prepared)
            for bulk in plan.bulk:
                rows = staged.get(bulk.batch) or batches.write(tx, _table(bulk), bulk.batch, bulk.columns)
                batches.publish(tx, rows, bulk.subject, bulk.origin)
            tx.touch(*plan.anchors)
            return changes.append(
                tx,
                plan=plan.id,
                verb=plan.verb,
                args=plan.args,
                why=why,
                actor=self.actor,
                recorded_at=self.ground.clock(),
                made_at=made_at,
            )

    def find_done(self, plan: Plan) -> Committed | None:
        """What became of a plan that was committed; None if it was not."""
        with self.ground.database.read() as connection:
            change = changes.find_plan(connection, plan.id)
        return Committed(plan, change, again=True) if change else None

    def _stage(self, bulk: Bulk, progress: Callable[[int], None]) -> StagedBatch:
        return batches.stage(self.ground.database, _table(bulk), bulk.batch, bulk.columns, progress)

    def _check_role(self, verb: Verb) -> None:
        needed = Role[verb.role.upper()]
        if self.role < needed:
            raise NotAllowed(
                f"`{verb.name}` needs the role {needed.name.lower()}; yours is {self.role.name.lower()}.",
                todo="Ask an owner of the study: `cg person list` names them.",
            )

    def _check_needs(self, plan: Plan) -> None:
        """Raise NotAllowed if a plan does besides what needs a greater role by itself."""
        refused = [
            (words, verb.name, needed)
            for name, words in plan.needs.items()
            for verb in (get_verb(name),)
            if self.role < (needed := Role[verb.role.upper()])
        ]
        if refused:
            needed = max(needed for _, _, needed in refused)
            raise NotAllowed(
                f"This `{plan.verb}` needs the role {needed.name.lower()}; yours is {self.role.name.lower()}.",
                faults=[f"{words}, as `{name}` does" for words, name, _ in refused],
                todo=f"Ask a {needed.name.lower()} of the study to declare that, or to do this: `cg person list`.",
            )

    def _check_judge(self, verb: Verb, plan: Plan) -> None:
        """Raise NotAllowed if an agent would give a person's judgement."""
        if not (self.actor.agent or self.actor.on_behalf is not None):
            return
        agent = f"this session is an agent's ({self.actor.agent or 'it acts on behalf of somebody'})"
        if verb.judges:
            raise NotAllowed(
                f"`{verb.name}` is a person's own judgement, and {agent}.",
                todo="Prepare it (`--dry-run` shows what it would do), and let the person say it in their own session.",
            )
        if plan.judges:
            raise NotAllowed(
                f"This `{verb.name}` gives {plan.judges}, which is a person's own judgement, and {agent}.",
                todo="Let the person say it in their own session. A file of readings that people made comes in with"
                " `cg import readings`; what a program says itself are values of a run (`run.annotate`).",
            )


def _function(verb: Verb, step: str) -> Callable[..., Any]:
    module = importlib.import_module(f"commonground.operations.{verb.module}")
    function: Callable[..., Any] = getattr(module, f"{step}_{verb.function}")
    return function


def _is_large(bulk: Bulk) -> bool:
    return batches.count_rows(bulk.columns) > batches.CHUNK_ROWS


def _table(bulk: Bulk) -> sa.Table:
    return schema.metadata.tables[bulk.table]


def _check_reads(tx: Transaction, plan: Plan) -> None:
    point("changes.recheck")
    moved = {rid: head for rid, head in changes.heads(tx.connection, plan.reads).items() if head > plan.at}
    if moved:
        newest = changes.get_change(tx.connection, max(moved.values()))
        raise Conflict(
            f"What `{plan.verb}` relied on changed while it was being prepared: change {newest.id}, `{newest.verb}`.",
            todo="Look at the present state, then repeat the command.",
        )


def _check_sweeps(tx: Transaction, plan: Plan) -> None:
    """Raise Conflict if something was taken away while this was planned; what ran without a catalogue names none."""
    sweeping = [verb.name for verb in VERBS.values() if verb.sweeps]
    taken = changes.find_later(tx.connection, plan.at, sweeping) if plan.at else None
    if taken is not None:
        raise Conflict(
            f"Something was taken away while `{plan.verb}` was being prepared: change {taken.id}, `{taken.verb}`.",
            todo="Look at the present state, then repeat the command.",
        )
