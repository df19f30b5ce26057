"""What a run prints is kept up to a bound, beginning and end, without secrets, whatever ends the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from commonground.identity import Mint
from commonground.operations import output_log
from commonground.operations.output_log import NAME, PARTS, OutputLog, log_asset
from commonground.structure.screen import Screened, screen


def kept(folder: Path) -> str:
    """The text that the asset would have; empty if there is none."""
    asset = log_asset(folder, 1, Mint())
    return (folder / NAME).read_text() if asset else ""


def test_lines_are_whole_whatever_the_pieces(tmp_path: Path) -> None:
    """Text that comes in pieces, on two streams, is kept as whole lines; a last one without an end too."""
    log = OutputLog(tmp_path)
    for piece in ("epo", "ch 1\nepoch", " 2\nla"):
        log.write(piece, "out")
        log.write("warn\n", "err")
    log.close()
    lines = kept(tmp_path).splitlines()
    assert [line for line in lines if line != "warn"] == ["epoch 1", "epoch 2", "la"]
    assert lines.count("warn") == 3


def test_a_secret_in_two_pieces_is_seen(tmp_path: Path) -> None:
    """A password cut in two by the writer is not kept, and neither is a key printed line by line."""
    log = OutputLog(tmp_path)
    log.write("password=hunter2")
    log.write("hunter2\n-----BEGIN RSA PRIVATE KEY-----\n")
    for _ in range(4):
        log.write("MIIEpAIBAAKCAQEA0m59l2u9iDnMbrXHfqkOrn2dVQ3vfBJqcDuFUK03d\n")
    log.write("-----END RSA PRIVATE KEY-----\nafter\n")
    log.close()
    text = kept(tmp_path)
    assert "hunter2" not in text
    assert "MIIEp" not in text
    assert text.endswith("after\n")
    assert log.removed >= 2


def test_the_size_is_bounded_and_both_ends_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of endless output the beginning and the end are kept, and the gap is told."""
    monkeypatch.setattr(output_log, "HEAD", 1000)
    monkeypatch.setattr(output_log, "TAIL", 500)
    log = OutputLog(tmp_path)
    for number in range(3000):
        log.write(f"line {number}\n")
    log.close()
    text = kept(tmp_path)
    assert text.startswith("line 0\n")
    assert text.endswith("line 2999\n")
    assert "was not kept" in text
    assert sum((tmp_path / part).stat().st_size for part in PARTS) <= 2000


def test_the_end_is_the_end_though_all_was_written_in_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of the two parts that take turns is the newer is known although both were written in the same moment."""
    monkeypatch.setattr(output_log, "HEAD", 1000)
    monkeypatch.setattr(output_log, "TAIL", 500)
    for lines in range(220, 300):
        folder = tmp_path / str(lines)
        folder.mkdir()
        log = OutputLog(folder)
        log.write("".join(f"line {number}\n" for number in range(lines)))
        log.close()
        assert kept(folder).endswith(f"line {lines - 1}\n")


def test_a_line_without_end_is_let_go_of(tmp_path: Path) -> None:
    """A progress bar that never ends its line does not fill the memory."""
    log = OutputLog(tmp_path)
    for _ in range(5000):
        log.write("\r" + "#" * 20)
    assert max((len(rest) for rest in log._waiting.values()), default=0) <= output_log.LONGEST_LINE
    log.close()
    assert len(kept(tmp_path)) > 5000


def test_what_was_written_survives_the_process(tmp_path: Path) -> None:
    """Whole lines are with the system at once: nothing waits for the log to be closed."""
    log = OutputLog(tmp_path)
    log.write("before\n")
    assert kept(tmp_path) == "before\n"
    assert OutputLog(tmp_path / "none").folder.name == "none"


class Clock:
    """A clock that goes on by a tick each time it is read."""

    def __init__(self, tick: float) -> None:
        self.now = 0.0
        self.tick = tick

    def __call__(self) -> float:
        """The time, one tick later than when it was asked before."""
        self.now += self.tick
        return self.now


def test_a_flood_waits_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    """Lines that come faster than they can be screened wait in memory, and are all there in their order at the end."""
    log = OutputLog(tmp_path, Clock(0.001))
    lines = [f"line {number}\n" for number in range(2000)]
    for line in lines:
        log.write(line)
    assert log._held
    assert kept(tmp_path) == "".join(lines)[: len(kept(tmp_path))]
    log.flush()
    assert kept(tmp_path) == "".join(lines)
    log.close()
    assert kept(tmp_path) == "".join(lines)


def test_most_of_a_flood_is_never_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what cannot be kept most is not screened, the gap is told, and a key cut in two by the gap leaves nothing."""
    monkeypatch.setattr(output_log, "HEAD", 1000)
    monkeypatch.setattr(output_log, "TAIL", 500)
    clock = Clock(0.001)
    looked_at = 0

    def count(text: str) -> Screened:
        nonlocal looked_at
        looked_at += len(text)
        clock.now += 1.0
        return screen(text)

    monkeypatch.setattr(output_log, "screen", count)
    log = OutputLog(tmp_path, clock)
    for number in range(20_000):
        log.write(f"line {number}\n")
    log.write("-----BEGIN RSA PRIVATE KEY-----\n")
    for _ in range(60):
        log.write("MIIEpAIBAAKCAQEA0m59l2u9iDnMbrXHfqkOrn2dVQ3vfBJqcDuFUK03d\n")
    log.write("-----END RSA PRIVATE KEY-----\nlast\n")
    log.close()
    text = kept(tmp_path)
    assert text.startswith("line 0\n")
    assert text.endswith("last\n")
    assert "was not kept" in text
    assert "MIIEp" not in text
    assert looked_at < 20_000


def test_nothing_printed_is_no_asset(tmp_path: Path) -> None:
    """A silent run has no log, unless it failed: then the traceback is one."""
    assert log_asset(tmp_path, 1, Mint()) is None
    asset = log_asset(tmp_path, 1, Mint(), more="Traceback: ...\n")
    assert asset is not None
    assert asset["asset"]["size"] == 15
