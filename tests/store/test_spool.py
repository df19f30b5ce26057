"""The spool: one append-only file per process."""

import errno
import json
import math
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import warnings
from datetime import date
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonground.errors import NotFound, SchemaTooNew, StorageError, StorageFull
from commonground.store import faults, spool
from commonground.store.processes import this_process
from commonground.store.spool_lines import read_line, render, write_line

LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
PAYLOAD = st.dictionaries(
    st.text(),
    st.recursive(LEAF, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12),
)


@pytest.fixture
def path(tmp_path):
    """Where the spool of a test lies."""
    return tmp_path / "run.spool"


@pytest.fixture
def faulty(monkeypatch):
    """Planned faults are allowed."""
    monkeypatch.setenv(faults.MARK, "1")
    return faults.planned


def same(one, other):
    """Equality in which NaN equals NaN and -0.0 is not 0.0."""
    return repr(one) == repr(other)


def write(path, *payloads):
    """A writer that has appended the payloads."""
    writer = spool.SpoolWriter(path, execution=7)
    for payload in payloads:
        assert writer.append("metric", payload)
    return writer


def numbers(content):
    """What the records say under `n`."""
    return [record.payload["n"] for record in content.records]


@settings(deadline=None)
@given(payload=PAYLOAD)
def test_what_is_written_is_read(payload):
    """Any payload of JSON values, NaN, infinities, lone surrogates and line ends included, comes back the same."""
    taken = read_line(write_line(3, *render("metric", payload)))
    assert (taken.seq, taken.kind) == (3, "metric")
    assert same(taken.payload, payload)


def test_a_line_is_standard_json(path):
    """NaN and infinities are not written as words that other readers of JSON refuse."""
    write(path, {"a": [math.nan, {"b": -math.inf}], "c": math.inf}).close()

    def refuse(word):
        raise AssertionError(word)

    for line in path.read_text(encoding="ascii").splitlines():
        json.loads(line.split(" ", 3)[3], parse_constant=refuse)
    assert same(spool.read(path).records[0].payload, {"a": [math.nan, {"b": -math.inf}], "c": math.inf})


def test_other_values_are_kept_in_a_plain_form(path):
    """Arrays become lists, scalars numbers, paths and dates text, sets sorted lists; no parameter is lost."""
    write(
        path,
        {
            "scalar": np.float32(0.5),
            "array": np.array([[1, 2], [3, 4]]),
            "nan": np.array([1.0, math.nan]),
            "path": Path("a/b"),
            "day": date(2024, 3, 5),
            "set": {2, 1},
            "tuple": (1, None),
            "object": slice(1, 2),
            3: "a key",
            (4, 5): "another",
        },
    ).close()
    payload = spool.read(path).records[0].payload
    assert same(
        payload,
        {
            "scalar": 0.5,
            "array": [[1, 2], [3, 4]],
            "nan": [1.0, math.nan],
            "path": "a/b",
            "day": "2024-03-05",
            "set": [1, 2],
            "tuple": [1, None],
            "object": "slice(1, 2, None)",
            "3": "a key",
            "(4, 5)": "another",
        },
    )


def test_the_header_says_who_writes(path):
    """The first record names format, execution, process, boot and both clocks."""
    before = time.time_ns() // 1000
    write(path).close()
    header = spool.read(path).header
    assert (header.format, header.execution, header.process, header.parent) == (1, 7, this_process(), None)
    assert before <= header.wall_us <= time.time_ns() // 1000
    assert 0 < header.monotonic_ns <= time.monotonic_ns()


def test_a_closed_file_is_whole(path):
    """After close there is an end, no tail, no gap, no damage; nobody else may read the file."""
    assert write(path, {"n": 1}, {"n": 2}).close()
    content = spool.read(path)
    assert numbers(content) == [1, 2]
    assert (content.ended, content.torn_tail, content.damaged, content.gaps, content.dropped) == (
        True, False, (), (), 0,
    )  # fmt: skip
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_open_file_can_be_followed(path):
    """Reading can go on where it stopped, also by small pieces, and gives each record once."""
    writer = write(path, {"n": 1}, {"n": 2})
    first = spool.read(path)
    assert writer.append("metric", {"n": 3})
    second = spool.read(path, offset=first.offset, after=first.last)
    assert (numbers(first), numbers(second)) == ([1, 2], [3])
    assert (second.header, second.gaps, second.ended) == (None, (), False)
    writer.close()
    got, offset, after = [], 0, -1
    while (piece := spool.read(path, offset=offset, after=after, limit=1)).offset > offset:
        got += numbers(piece)
        assert piece.gaps == ()
        offset, after = piece.offset, piece.last
    assert (got, offset) == ([1, 2, 3], path.stat().st_size)


@settings(deadline=None)
@given(cut=st.integers(0, 400))
def test_a_torn_tail_loses_only_the_last_record(tmp_path_factory, cut):
    """A file cut at any byte gives all records whose line is whole and says that the tail is torn."""
    path = tmp_path_factory.mktemp("spool") / "run.spool"
    write(path, {"n": 1}, {"n": 2}, {"n": 3}).close()
    whole = path.read_bytes()
    path.write_bytes(whole[: min(cut, len(whole))])
    content = spool.read(path)
    lines = whole[:cut].count(b"\n")
    assert numbers(content) == [1, 2, 3][: max(0, lines - 1)]
    assert content.torn_tail is (cut < len(whole) and cut > 0 and whole[cut - 1 : cut] != b"\n")
    assert content.damaged == ()


@settings(deadline=None)
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_flipped_bit_is_found(tmp_path_factory, place, bit):
    """A flipped bit never changes a record: the line is reported, the others are read."""
    path = tmp_path_factory.mktemp("spool") / "run.spool"
    write(path, *({"n": n} for n in range(5))).close()
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)
    content = spool.read(path)
    assert set(numbers(content)) <= set(range(5))
    assert content.damaged or content.torn_tail
    lost = (content.header is None) + (5 - len(content.records)) + (not content.ended)
    assert 1 <= lost <= 2


def test_damage_in_the_middle_is_named_and_passed_over(path):
    """A damaged line is reported with its place, its number with the gap, and reading goes on behind it."""
    write(path, {"n": 1}, {"n": 2}, {"n": 3}).close()
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"n":2', b'"n":9')
    path.write_bytes(b"".join(lines))
    content = spool.read(path)
    assert numbers(content) == [1, 3]
    assert [one.offset for one in content.damaged] == [len(lines[0]) + len(lines[1])]
    assert content.gaps == ((2, 2),)


@pytest.mark.parametrize(
    "body", [b"", b"1", b"1 metric", b"x metric {}", b"1 metric []", b"1 metric! {}", b"1 m {", b"\xff"]
)
def test_a_line_with_a_right_checksum_can_still_be_nonsense(path, body):
    """Bytes that are no record are damage, not an exception, even under a right checksum."""
    write(path, {"n": 1}).close()
    with path.open("ab") as file:
        file.write(b"%08x %b\n" % (crc32(body), body))
    content = spool.read(path)
    assert (numbers(content), len(content.damaged)) == ([1], 1)


def test_a_record_that_comes_twice_counts_once(path):
    """A repeated line is reported and not delivered again."""
    write(path, {"n": 1}).close()
    with path.open("ab") as file:
        file.write(write_line(1, *render("metric", {"n": 5})))
    content = spool.read(path)
    assert (numbers(content), len(content.damaged)) == ([1], 1)


def test_a_newer_format_is_refused(path):
    """A file of a later format is not guessed at."""
    header = {"format": 2, "execution": 1, "process": {}, "wall_us": 0, "monotonic_ns": 0}
    path.write_bytes(write_line(0, *render("header", header)))
    with pytest.raises(SchemaTooNew):
        spool.read(path)


def test_a_strange_header_is_no_header(path):
    """A header of format 1 without its fields is left out, and the records are read."""
    path.write_bytes(write_line(0, *render("header", {"format": 1})) + write_line(1, *render("metric", {"n": 1})))
    content = spool.read(path)
    assert (content.header, numbers(content)) == (None, [1])


def test_a_missing_or_unreadable_file_is_said(tmp_path):
    """Reading raises NotFound for a file that is not there and StorageError for a folder."""
    with pytest.raises(NotFound):
        spool.read(tmp_path / "none.spool")
    with pytest.raises(StorageError, match="cannot be read"):
        spool.read(tmp_path)


def test_an_existing_file_is_never_continued(path):
    """A second writer for the same path is refused, and the file stays as it was."""
    write(path, {"n": 1}).close()
    before = path.read_bytes()
    with pytest.raises(StorageError, match="cannot be begun"):
        spool.SpoolWriter(path, execution=7)
    assert path.read_bytes() == before


@pytest.mark.parametrize("point", ["spool.open", "spool.append"])
def test_a_spool_that_cannot_be_begun_leaves_no_file(path, faulty, point):
    """With a full disk at the start there is a clear error and no half file."""
    with faulty(f"{point}:1:enospc"), pytest.raises(StorageFull, match="no space left"):
        spool.SpoolWriter(path, execution=7)
    assert not path.exists()


def test_a_full_disk_costs_records_and_never_raises(path, faulty):
    """While the disk is full records are counted as dropped, one warning is given, and later records are kept."""
    writer = write(path, {"n": 1})
    with faulty("spool.append:1:enospc,spool.append:2:eio"), pytest.warns(spool.SpoolWarning, match="no space") as told:
        assert [writer.append("metric", {"n": n}) for n in (2, 3)] == [False, False]
    assert writer.append("metric", {"n": 4})
    assert (writer.dropped, writer.error, len(told)) == (2, os.strerror(errno.ENOSPC).lower(), 1)
    assert writer.close()
    content = spool.read(path)
    assert (numbers(content), content.gaps, content.dropped, content.damaged) == ([1, 4], ((2, 3),), 2, ())


def test_a_half_written_line_costs_only_itself(path, faulty):
    """A write that stops halfway on a full disk leaves one damaged line; the next record is whole."""
    writer = write(path, {"n": 1})
    with faulty("spool.append:1:short,spool.append:2:enospc"), pytest.warns(spool.SpoolWarning):
        assert not writer.append("metric", {"n": 2})
    assert writer.append("metric", {"n": 3})
    writer.close()
    content = spool.read(path)
    assert (numbers(content), content.gaps, len(content.damaged)) == ([1, 3], ((2, 2),), 1)


def test_a_short_write_is_finished(path, faulty):
    """When the system takes only half of the bytes the rest is written too."""
    writer = write(path)
    with faulty("spool.append:1:short"):
        assert writer.append("metric", {"n": 1})
    writer.close()
    content = spool.read(path)
    assert (numbers(content), content.damaged) == ([1], ())


def test_a_failed_sync_is_never_forgotten(path, faulty):
    """After one failed sync the file is never called synced again, but records still go in."""
    writer = write(path, {"n": 1})
    assert writer.sync()
    with faulty("spool.sync:1:eio"), pytest.warns(spool.SpoolWarning):
        assert not writer.sync()
    assert writer.append("metric", {"n": 2})
    assert not writer.sync()
    assert not writer.close()
    assert numbers(spool.read(path)) == [1, 2]


def test_what_cannot_be_recorded_is_counted(path):
    """A bad kind, a payload that is no mapping, a broken object, a cycle, a closed spool: counted, told, not raised."""

    class Broken:
        def __repr__(self):
            raise RuntimeError("no")

    circle = {}
    circle["self"] = circle
    writer = write(path, {"n": 1})
    lost = [("Not a kind", {}), ("end", {}), ("metric", [1]), ("metric", {"x": Broken()}), ("metric", circle)]
    with pytest.warns(spool.SpoolWarning) as told:
        assert not any([writer.append(*one) for one in lost])  # noqa: C419 - all of them are tried
    writer.close()
    assert not writer.append("metric", {"n": 2})
    assert (writer.dropped, len(told)) == (6, 1)
    content = spool.read(path)
    assert (numbers(content), content.dropped, content.gaps) == ([1], 5, ((2, 6),))
    assert not writer.close()


def test_a_warning_made_an_error_does_not_stop_the_run(path, faulty, capsys):
    """Under `-W error` the one message goes to standard error instead of raising."""
    writer = write(path)
    with faulty("spool.append:1:enospc"), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not writer.append("metric", {"n": 1})
    assert "no space left" in capsys.readouterr().err
    writer.close()


def test_threads_share_one_file(path):
    """Eight threads appending at once leave every record whole, once, and without a gap."""
    writer = write(path)

    def work(name):
        for n in range(250):
            writer.append("metric", {"n": n, "thread": name})

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.close()
    content = spool.read(path)
    assert (content.gaps, content.damaged) == ((), ())
    assert sorted((r.payload["thread"], r.payload["n"]) for r in content.records) == [
        (name, n) for name in range(8) for n in range(250)
    ]


SIGNALLED = """
import signal, sys
from pathlib import Path
from commonground.store import spool
writer = spool.SpoolWriter(Path(sys.argv[1]), execution=7)
signal.signal(signal.SIGALRM, lambda *_: writer.append("metric", {"n": -1}))
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
done = [writer.append("metric", {"n": n}) for n in range(5000)]
signal.setitimer(signal.ITIMER_REAL, 0)
sys.exit(0 if all(done) and writer.close() else 1)
"""


def test_a_signal_handler_may_append(path):
    """A handler that appends while the same thread appends neither waits for ever nor loses a record."""
    given = {name: value for name, value in os.environ.items() if name != faults.MARK}
    subprocess.run([sys.executable, "-c", SIGNALLED, path], env=given, check=True, timeout=60)
    content = spool.read(path)
    assert [n for n in numbers(content) if n >= 0] == list(range(5000))
    assert -1 in numbers(content)
    assert (content.gaps, content.damaged) == ((), ())


FORKING = """
import os, signal, sys, threading
from pathlib import Path
from commonground.store import spool
path = Path(sys.argv[1])
writer = spool.SpoolWriter(path, execution=7)
writer.append("metric", {"n": 1})
held, over = threading.Event(), threading.Event()
def write_for_long():
    with writer._lock:
        held.set()
        over.wait()
threading.Thread(target=write_for_long).start()
held.wait()  # another thread is writing at the moment of the fork
children = []
for child in range(3):
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)  # a child that waits for ever must not stay behind
        if child < 2:
            writer.append("metric", {"n": 100 + child})
            os._exit(0 if writer.close() else 1)
        os._exit(0)
    children.append(pid)
over.set()
states = [os.waitpid(pid, 0)[1] for pid in children]
writer.append("metric", {"n": 2})
sys.exit(0 if writer.close() and states == [0, 0, 0] else 1)
"""


def test_a_forked_child_writes_its_own_file(path):
    """Children forked while a lock is held write beside the parent's file; a child that is silent leaves none."""
    subprocess.run([sys.executable, "-c", FORKING, path], check=True, timeout=60)
    files = spool.list_files(path)
    assert files[0] == path
    assert numbers(spool.read(path)) == [1, 2]
    children = [spool.read(file) for file in files[1:]]
    assert sorted(numbers(child) for child in children) == [[100], [101]]
    assert {child.header.parent for child in children} == {path.name}
    assert all(child.header.execution == 7 and child.ended and child.gaps == () for child in children)


ENDLESS = """
import itertools, sys
from pathlib import Path
from commonground.store import spool
writer = spool.SpoolWriter(Path(sys.argv[1]), execution=7)
for n in itertools.count():
    writer.append("metric", {"n": n})
    if n % 100 == 99:
        writer.sync()
        print(n, flush=True)
"""


def test_kill_loses_nothing_that_was_appended(path):
    """A process killed at any moment leaves all records that it had appended, in order, and no end."""
    for attempt in range(4):
        here = path.with_name(f"run-{attempt}.spool")
        with subprocess.Popen([sys.executable, "-c", ENDLESS, here], stdout=subprocess.PIPE, text=True) as process:
            said = [int(process.stdout.readline()) for _ in range(3 + attempt)]
            time.sleep(0.0007 * attempt)
            process.kill()
        content = spool.read(here)
        assert len(content.records) > said[-1]
        assert numbers(content) == list(range(len(content.records)))
        assert (content.gaps, content.damaged, content.ended) == ((), (), False)


@pytest.mark.parametrize("point", ["spool.append", "spool.sync"])
def test_kill_at_a_fault_point_keeps_what_was_before(path, point):
    """Killed just before its n-th write or sync, a process leaves exactly the records before it."""
    plan = {faults.MARK: "1", faults.PLAN: f"{point}:3:kill"}
    done = subprocess.run(
        [sys.executable, "-c", ENDLESS, path],
        env={**os.environ, **plan},
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    expected = {"spool.append": 1, "spool.sync": 300}[point]  # the header is the first write
    assert numbers(spool.read(path)) == list(range(expected))


def test_a_spool_that_may_not_grow_loses_only_what_had_no_room(path):
    """When the system refuses to let the file grow the program goes on, and what was lost is told in the file."""
    writer = write(path, {"n": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))
    try:
        with pytest.warns(spool.SpoolWarning):
            assert [writer.append("metric", {"n": n}) for n in (2, 3)] == [False, False]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert writer.append("metric", {"n": 4})
    assert writer.close()
    content = spool.read(path)
    assert (numbers(content), content.gaps, content.dropped, len(content.damaged)) == ([1, 4], ((2, 3),), 2, 1)
