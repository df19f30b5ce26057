"""Changes files by every call that the shim must catch, in two threads and two processes."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from pathlib import Path

from acknowledge import acknowledge

CHILD = "import os, sys; os.write(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), b'from another process')"


def change(place: Path) -> None:
    """Every call, below `place`."""
    place.mkdir()
    folder = os.open(place, os.O_RDONLY)
    file = os.open("a", os.O_RDWR | os.O_CREAT, dir_fd=folder)
    os.write(file, b"0123456789" * 100)
    os.pwrite(file, b"pwrite", 5)
    os.writev(file, [b"one", b"", b"two"])
    os.pwritev(file, [b"three", b"four"], 1500)
    os.lseek(file, 3, os.SEEK_SET)
    os.write(file, b"in the middle")
    os.ftruncate(file, 1400)
    os.posix_fallocate(file, 0, 1450)
    os.fsync(file)
    os.fdatasync(os.dup(file))
    (place / "b").write_text("text by the io module")
    (place / "b").write_text("shorter")
    with (place / "b").open("ab") as appended:
        appended.write(b" and longer again")
    os.truncate(place / "b", 20)
    copy = os.open(place / "c", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.lseek(file, 0, os.SEEK_SET)
    os.copy_file_range(file, copy, 700)
    os.sendfile(copy, file, 100, 300)
    os.link(place / "c", place / "d")
    os.link("b", "e", src_dir_fd=folder, dst_dir_fd=folder)
    os.mkdir("below", dir_fd=folder)
    (place / "c").rename(place / "below" / "c")
    os.replace("d", "a", src_dir_fd=folder, dst_dir_fd=folder)
    os.write(copy, b"written after the rename, by another name")
    (place / "gone").touch()
    os.unlink("gone", dir_fd=folder)
    (place / "no folder").mkdir()
    (place / "no folder").rmdir()
    (place / "below").rename(place / "moved")
    (place / "moved" / "deep" / "er").mkdir(parents=True)
    (place / "moved" / "deep" / "er" / "file").write_bytes(bytes(3000))
    os.chdir(place) if place.name == "one" else None
    subprocess.run([sys.executable, "-c", CHILD, str(place / "moved" / "child")], check=True)
    os.fsync(folder)
    ctypes.CDLL(None).syncfs(folder)


def main(root: Path) -> None:
    """Make the changes in two folders at once."""
    (root / "before").write_bytes(b"changed")
    (root / "kept" / "old").unlink()
    sides = [threading.Thread(target=change, args=[root / name]) for name in ("one", "two")]
    for side in sides:
        side.start()
    for side in sides:
        side.join()
    acknowledge(done=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
