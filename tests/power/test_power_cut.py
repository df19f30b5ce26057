"""Nothing acknowledged is lost when the power goes, and the harness that says so catches planted mistakes.

1,500 images of each workload are the size for a push; `CG_POWER_IMAGES=10000 pytest -m power tests/power` is that for a
release. `CG_POWER_SEED` gives other images.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from checks import blobs_are_kept, catalogue_is_kept, database_is_kept, spool_is_kept
from checks_of_verbs import erasures_are_kept, releases_are_kept, runs_are_kept
from power_log import Log, record
from power_model import Check, replay

WORKLOADS = Path(__file__).parent / "workloads"
CHECKS: dict[str, Check] = {
    "blobs": blobs_are_kept,
    "spool": spool_is_kept,
    "database": database_is_kept,
    "catalogue": catalogue_is_kept,
    "releases": releases_are_kept,
    "runs": runs_are_kept,
    "erasures": erasures_are_kept,
}
IMAGES = int(os.environ.get("CG_POWER_IMAGES", "1500"))
FEW = 300
WHOLE_STUDIES = 4
"""To open a study and read what is in it takes longer, so there are fewer images of these."""
SLOW = {"releases", "runs", "erasures"}
SEED = int(os.environ.get("CG_POWER_SEED", "1"))


@pytest.fixture
def run(tmp_path_factory):
    """Record a workload, with or without a planted mistake, in a fresh folder."""

    def start(workload: str, mutant: str = "") -> Log:
        root = tmp_path_factory.mktemp(workload) / "root"
        root.mkdir()
        return record(WORKLOADS / f"{workload}.py", root, environment={"CG_POWER_MUTANT": mutant})

    return start


@pytest.mark.power
@pytest.mark.parametrize("workload", CHECKS)
def test_no_power_cut_loses_what_was_acknowledged(run, workload):
    """Promise P2: 0 lost acknowledgements, 0 broken opens, 0 names of absent or short bytes in all images."""
    count = IMAGES // WHOLE_STUDIES if workload in SLOW else IMAGES
    verdict = replay(run(workload), CHECKS[workload], count=count, seed=SEED)
    assert verdict.checked == count
    assert verdict.failures == ()


@pytest.mark.power
@pytest.mark.parametrize(
    ("workload", "mutant", "words"),
    [
        ("blobs", "no file sync", "wrong bytes"),
        ("blobs", "no folder sync", "is missing"),
        ("spool", "spool unsynced", "is missing"),
        ("spool", "no folder sync", "is missing"),
        ("database", "synchronous=NORMAL", "row"),
        ("database", "synchronous=OFF", ""),
        ("database", "journal_mode=DELETE", "row"),
        ("database", "acknowledge before commit", "row"),
        ("catalogue", "no file sync", "wrong bytes"),
        ("catalogue", "no folder sync", "a row needs the blob"),
        ("releases", "synchronous=NORMAL", "acknowledged"),
        ("releases", "no file sync", "wrong bytes"),
        ("releases", "no folder sync", ""),
        ("releases", "pointer before rows", "blob"),
        ("releases", "acknowledge before commit", "acknowledged"),
        ("runs", "spool unsynced", "acknowledged"),
        ("runs", "pointer before rows", "blob"),
        ("catalogue", "changes as drafts", ""),
    ],
)
def test_a_planted_mistake_is_caught(run, workload, mutant, words):
    """Each mutant, run for real in its workload, fails in some of 300 images, or of 100 of whole studies."""
    count = FEW // 3 if workload in SLOW else FEW
    verdict = replay(run(workload, mutant), CHECKS[workload], count=count, seed=SEED)
    assert verdict.broken > 0
    assert any(words in fault for _, _, fault in verdict.failures)


@pytest.mark.power
@pytest.mark.parametrize("workload", CHECKS)
def test_a_log_without_any_sync_fails(run, workload):
    """Replayed as if no sync had been made, each workload loses what it acknowledged."""
    log = run(workload).without(lambda operation: operation.kind in "SDY")
    assert replay(log, CHECKS[workload], count=FEW // 6, seed=SEED).broken > FEW // 60


@pytest.mark.power
def test_most_single_syncs_of_the_blob_store_matter(run):
    """Leaving out any one kind of sync, of files, of folders or of all, is seen in the images."""
    log = run("blobs")
    for kind in "SDY":
        fewer = log.without(lambda operation, kind=kind: operation.kind == kind)
        assert replay(fewer, CHECKS["blobs"], count=FEW, seed=SEED).broken > 0
