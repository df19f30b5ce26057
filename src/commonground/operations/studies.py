"""Making and opening a study, and finding out who is at work in it.

In a folder, identity is claimed: CG_PERSON, else git's mail address, else the operating system's user. Whoever is not
known yet is added as a contributor when they first open the study; the one who makes the study is its owner.
"""

from __future__ import annotations

import contextlib
import getpass
import importlib
import os
import subprocess
from pathlib import Path
from typing import Any

from commonground.errors import Busy, CommonGroundError, Conflict, InvalidInput, NotAllowed, StorageError
from commonground.identity import Actor, Mint, Rid, show_rid
from commonground.operations.plans import Plan, Reading, Role
from commonground.operations.session import Session
from commonground.operations.waiting import has_unfinished_erasure
from commonground.store import ground as place
from commonground.store.ground import Ground
from commonground.store.transaction import Transaction
from commonground.structure import people
from commonground.structure.names import clean_name

AGENT_MARKS = ("CLAUDECODE", "CURSOR_AGENT", "CODEX_SANDBOX", "GEMINI_CLI", "AIDER_MODEL", "CG_AGENT")


def create_study(
    folder: Path, *, name: str | None = None, person: str | None = None, url: str | None = None
) -> Session:
    """Make a study in a folder; whoever makes it is its owner."""
    study_name = clean_name(name or folder.resolve().name, "study's name")
    login, shown = claimed_identity(person)
    agent = detect_agent()
    owners = []

    def begin(made: Ground) -> None:
        # A study is never there without its owner, whenever this is cut off.
        session = Session(made, Actor(name=shown, agent=agent), Role.OWNER)
        done = session.write("person add", name=shown, role="owner", logins=[login])
        owners.append(done.plan.args["person"]["rid"])

    ground = place.create(folder, name=study_name, study=show_rid(Mint().one()), url=url, begin=begin)
    return Session(ground, Actor(owners[0], shown, agent=agent), Role.OWNER)


def open_study(folder: Path, *, person: str | None = None, via: str = "python") -> Session:
    """Open the study in a folder, or in the nearest one above it."""
    return arrive(place.open_folder(folder), person=person, via=via)


def arrive(ground: Ground, *, person: str | None = None, via: str = "python") -> Session:
    """A session for whoever is at work here; somebody new is added as a contributor."""
    login, shown = claimed_identity(person)
    agent = detect_agent()
    with ground.view() as view:
        known = people.find_person(view, login) or people.find_person(view, shown)
    if known is None:
        rid, role = _add_newcomer(ground, Actor(name=shown, via=via, agent=agent), login), Role.CONTRIBUTOR
    else:
        if not known.active:
            raise NotAllowed(f"{known.name} no longer takes part in this study.", todo="Ask an owner.")
        rid, role = known.rid, Role[known.role.upper()]
    if has_unfinished_erasure(ground):
        # Whoever comes next finishes what was cut off. What cannot be done now, `cg doctor` tells and `cg sync` tries.
        with contextlib.suppress(CommonGroundError):
            importlib.import_module("commonground.operations.completing").complete_erasures(ground)
    return Session(ground, Actor(rid, shown, via=via, agent=agent), role)


def _add_newcomer(ground: Ground, actor: Actor, login: str) -> Rid | None:
    """The rid of somebody who is added; None if nothing can be written here, and then they can but read."""
    try:
        done = Session(ground, actor, Role.OWNER).write(
            "person add", name=actor.name, role="contributor", logins=[login]
        )
    except Busy:
        raise
    except StorageError:
        return None
    rid: Rid = done.plan.args["person"]["rid"]
    return rid


def claimed_identity(person: str | None = None) -> tuple[str, str]:
    """The login and the name of whoever is at work, as far as this machine says."""
    named = person or os.environ.get("CG_PERSON")
    if named:
        return named, named
    mail, name = _git()
    user = getpass.getuser()
    return mail or user, name or user


def detect_agent() -> str | None:
    """The agent environment that this process runs in, if it shows; such an actor is marked for ever."""
    return next((mark for mark in AGENT_MARKS if os.environ.get(mark)), None)


def _git() -> tuple[str, str]:
    """The mail address and the name that git knows, each empty if it knows none; of several it goes by the last."""
    command = ["git", "config", "--get-regexp", r"^user\.(email|name)$"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "", ""
    said = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    return said.get("user.email", "").strip(), said.get("user.name", "").strip()


def plan_person(
    on: Reading,
    *,
    name: str,
    role: str = "contributor",
    discipline: str | None = None,
    description: str | None = None,
    logins: list[str] | None = None,
) -> Plan:
    """Add somebody."""
    if people.find_person(on.view, name) is not None:
        raise Conflict(f"There is somebody called {name!r} here already.", todo="`cg person list` names everybody.")
    if role.upper() not in Role.__members__:
        raise InvalidInput(
            f"{role!r} is no role.", todo=f"The roles are {', '.join(one.name.lower() for one in Role)}."
        )
    texts = list(dict.fromkeys(logins or []))
    taken = [f"{text} is {one.name}" for text in texts if (one := people.find_person(on.view, text)) is not None]
    if taken:
        raise Conflict("A login leads to one person.", faults=taken, todo="Leave it out, or use another.")
    rids = on.mint(2 + len(texts))
    fields: dict[str, Any] = {
        "rid": rids[0],
        "name": clean_name(name),
        "role": Role[role.upper()].name.lower(),
        "discipline": discipline,
        "description": description,
    }
    return Plan(
        id=rids[-1],
        verb="person add",
        args={"person": fields, "logins": [[rid, text] for rid, text in zip(rids[1:], texts, strict=False)]},
        at=on.view.change,
        anchors=(rids[0],),
        effect={"adds": f"{fields['name']}, {role}"},
    )


def apply_person(tx: Transaction, plan: Plan) -> None:
    """Write the person and the logins."""
    people.add_person(tx, plan.args["person"], [(rid, text) for rid, text in plan.args["logins"]])


def read_people(on: Reading) -> list[people.Person]:
    """Everybody in the study."""
    return people.list_people(on.view)
