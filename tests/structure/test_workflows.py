"""The same code is one workflow, and other code is another."""

from __future__ import annotations

from typing import Any

import pytest

from commonground.errors import NotFound
from commonground.store.ground import Ground
from commonground.structure import tables, workflows


def add(ground: Ground, **changed: Any) -> int:
    """Write a workflow in a change of its own; the rid it is known by."""
    fields = {
        "rid": ground.mint.one(),
        "name": "train.py",
        "repository": "https://example.org/lung",
        "commit": "abc",
        "tree": "t1",
        "entry": "train.py",
        "dirty": 0,
        "code": "d1",
        **changed,
    }
    with ground.change() as tx:
        return workflows.add_workflow(tx, fields)


def test_the_same_code_is_one_workflow(ground: Ground) -> None:
    """Repository, tree and entry decide; another commit with the same tree is the same code."""
    first = add(ground)
    assert add(ground) == first
    assert add(ground, commit="def") == first
    with ground.view() as view:
        assert len(view.list_rows(tables.workflow)) == 1


def test_any_other_code_is_another_workflow(ground: Ground) -> None:
    """Another tree, another entry, another repository, or none at all, each make a workflow of their own."""
    rids = {add(ground), add(ground, tree="t2"), add(ground, entry="-m lung"), add(ground, repository=None)}
    assert len(rids) == 4
    assert add(ground, repository=None) in rids


def test_a_workflow_that_is_not_there_is_an_error(ground: Ground) -> None:
    """Asking for an unknown one raises."""
    with ground.view() as view, pytest.raises(NotFound):
        workflows.get_workflow(view, 12)
