"""Making a study on a server: a killed attempt is in nobody's way, and nothing that is somebody's is emptied."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from commonground.errors import StorageError
from commonground.operations.restoring import restore_study
from commonground.operations.session import Session
from commonground.operations.studies import create_study
from commonground.store import backup
from commonground.store.verify import verify

MAKES = """
import sys
from pathlib import Path
from commonground.operations.studies import create_study
create_study(Path(sys.argv[1]), name="First", url=sys.argv[2])
"""
RESTORES = """
import sys
from pathlib import Path
from commonground.operations.restoring import restore_study
restore_study(Path(sys.argv[3]), Path(sys.argv[1]), url=sys.argv[2])
"""


def begin(code: str, fault: str, *told: object) -> subprocess.Popen[bytes]:
    """A program that something happens to."""
    command = [sys.executable, "-c", code, *map(str, told)]
    return subprocess.Popen(command, env={**os.environ, "CG_FAULT": fault})


@pytest.mark.parametrize(
    "fault", ["database.after_commit:1:kill", "database.before_commit:2:kill", "database.before_commit:3:kill"]
)
def test_a_study_can_be_made_where_an_attempt_was_killed(tmp_path: Path, postgres_url: str, fault: str) -> None:
    """Whenever the first attempt was killed, the second one makes a whole study in the same database."""
    assert begin(MAKES, fault, tmp_path / "first", postgres_url).wait(timeout=60) == -signal.SIGKILL
    session = create_study(tmp_path / "second", name="Second", url=postgres_url)
    assert session.ground.facts["name"] == "Second"
    assert [person.name for person in session.read("person list")] == ["Tester"]
    assert verify(session.ground).faults == []
    session.ground.close()


def test_a_study_that_is_made_is_never_emptied(tmp_path: Path, postgres_url: str) -> None:
    """A database in which a study was made is refused, also when its maker was killed before the folder was there."""
    fault = "database.after_commit:3:kill"
    assert begin(MAKES, fault, tmp_path / "first", postgres_url).wait(timeout=60) == -signal.SIGKILL
    with pytest.raises(StorageError, match="not empty"):
        create_study(tmp_path / "second", name="Second", url=postgres_url)


def test_a_study_that_is_being_made_is_not_emptied(tmp_path: Path, postgres_url: str) -> None:
    """As long as its maker lives, a database is refused; when it is dead, it is taken."""
    maker = begin(MAKES, "database.after_commit:1:stop", tmp_path / "first", postgres_url)
    os.waitpid(maker.pid, os.WUNTRACED)
    with pytest.raises(StorageError, match=f"by process {maker.pid} on"):
        create_study(tmp_path / "second", name="Second", url=postgres_url)
    maker.kill()
    maker.wait(timeout=60)
    create_study(tmp_path / "second", name="Second", url=postgres_url).ground.close()


def test_a_backup_can_be_restored_where_an_attempt_was_killed(
    tmp_path: Path, postgres_url: str, session: Session
) -> None:
    """A restore that was killed with all rows in the database is done again in the same database."""
    backup.backup(session.ground, tmp_path / "backup")
    told = (tmp_path / "first", postgres_url, tmp_path / "backup")
    assert begin(RESTORES, "restore.swap:1:kill", *told).wait(timeout=60) == -signal.SIGKILL
    restored = restore_study(tmp_path / "backup", tmp_path / "second", url=postgres_url)
    assert restored.restored.verification.faults == []
