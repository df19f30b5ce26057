"""Where a study may live: a local disk, never a network file system and never a cloud-synced folder.

SQLite's write-ahead log needs shared memory and locks that hold on one machine only
(https://www.sqlite.org/wal.html, "Disadvantages"), and a sync program copies the parts of one database at
different moments. The readers of mount tables are pure: text in, mounts out.

- Linux: `/proc/self/mountinfo` (https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html).
- macOS: the output of `/sbin/mount`, which prints what statfs(2) knows.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from commonground.errors import UnsafePlace

WAYS_OUT: Final = (
    "There are three ways out: move the study to a local disk; run `cg serve` on the one machine that has the disk "
    "and let the others connect to it; or keep the study on PostgreSQL."
)

NETWORK: Final = frozenset(
    {"9p", "prl_fs", "vboxsf", "virtiofs", "vmhgfs"}  # folders shared with a virtual machine
    | {
        "cifs",
        "ncpfs",
        "smb2",
        "smb3",
        "smbfs",
        "afpfs",
        "nfs",
        "nfs3",
        "nfs4",
        "afs",
        "coda",
        "davfs",
        "ftp",
        "webdav",
    }
    | {"acfs", "beegfs", "ceph", "exfs", "fhgfs", "gfs", "gfs2", "glusterfs", "gpfs", "lustre", "mmfs", "ocfs2"}
    | {"orangefs", "panfs", "pvfs2", "wekafs"}  # and the file systems of clusters
)
"""Kinds of file system whose locks or shared memory do not hold between all who can write."""

LOCAL_FUSE: Final = frozenset(
    {"fuseblk", "fuse.ntfs-3g", "fuse.exfat", "fuse.fuse-overlayfs", "fuse.gocryptfs", "fuse.encfs", "fuse.apfs"}
)
"""User-space file systems that keep their bytes on a local disk; every other one is refused."""

_MAC_USER_SPACE: Final = ("macfuse", "osxfuse", "fuse")

CLOUD_NAMES: Final = (
    (re.compile(r"Dropbox( \(.+\))?"), "Dropbox"),
    (re.compile(r"OneDrive( ?- ?.+)?"), "OneDrive"),
    (re.compile(r"Google ?Drive( \(.+\))?|GoogleDrive-.+"), "Google Drive"),
    (re.compile(r"iCloud ?Drive|iCloud|Mobile Documents|com~apple~CloudDocs"), "iCloud Drive"),
    (re.compile(r"Nextcloud|ownCloud"), "Nextcloud or ownCloud"),
    (re.compile(r"CloudStorage"), "a cloud drive"),
    (re.compile(r"Box Sync|Box-Box"), "Box"),
    (re.compile(r"pCloudDrive|pCloud Drive"), "pCloud"),
)
"""Names that sync programs give to their folder, matched against each part of a path."""

CLOUD_MARKERS: Final = (
    (".dropbox", "Dropbox"),
    (".dropbox.cache", "Dropbox"),
    (".849C9593-D756-4E56-8D6E-42412F2A707B", "OneDrive"),
    (".tmp.driveupload", "Google Drive"),
    (".tmp.drivedownload", "Google Drive"),
    (".nextcloudsync.log", "Nextcloud"),
    (".owncloudsync.log", "ownCloud"),
    (".stfolder", "Syncthing"),
    (".seafile-data", "Seafile"),
)
"""Files that a sync program leaves in the folder it syncs."""

_FIXED_FIELDS: Final = (6, 2)
"""So many fields of a line of mountinfo there always are, before and behind its dash."""
_ESCAPE: Final = re.compile(rb"\\([0-3][0-7]{2})")
_MAC_LINE: Final = re.compile(r"^(?P<source>.*?) on (?P<point>/.*) \((?P<options>[^()]*)\)$")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted file system."""

    point: str
    """The folder it is mounted on."""
    kind: str
    """The kind of file system in lower case, such as ext4 or nfs4."""
    source: str
    """What is mounted: a device, a server's share, a name."""


@dataclass(frozen=True, slots=True)
class Danger:
    """Why a folder is not a safe place."""

    what: str
    """The network file system or the sync program."""
    where: str
    """The folder at which it begins."""


def read_mountinfo(text: str) -> list[Mount]:
    """The mounts of a Linux mountinfo text, in its order; lines that are not understood are left out."""
    mounts: list[Mount] = []
    for line in text.splitlines():
        left, separator, right = line.partition(" - ")
        fields, rest = left.split(" "), right.split(" ")
        if separator and len(fields) >= _FIXED_FIELDS[0] and len(rest) >= _FIXED_FIELDS[1]:
            mounts.append(Mount(_unescape(fields[4]), rest[0].lower(), _unescape(rest[1])))
    return mounts


def _unescape(text: str) -> str:
    raw = text.encode("utf-8", "surrogateescape")
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), raw).decode("utf-8", "surrogateescape")


def read_mac_mounts(text: str) -> list[Mount]:
    """The mounts that macOS' `/sbin/mount` prints, in its order."""
    found = (_MAC_LINE.match(line) for line in text.splitlines())
    return [Mount(m["point"], m["options"].split(",")[0].strip().lower(), m["source"]) for m in found if m]


def mount_of(path: str, mounts: Iterable[Mount]) -> Mount | None:
    """The mount that holds the absolute `path`: the deepest, and of two on one folder the later."""
    best: Mount | None = None
    for mount in mounts:
        inside = mount.point in {"/", path} or path.startswith(mount.point + "/")
        if inside and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def is_network(kind: str) -> bool:
    """Whether a kind of file system is a network one, or a user-space one not known to be local."""
    if kind in NETWORK:
        return True
    return (kind.startswith("fuse") or kind in _MAC_USER_SPACE) and kind not in LOCAL_FUSE and kind != "fusectl"


def network_danger(path: str, mounts: Iterable[Mount]) -> Danger | None:
    """The network file system that holds the absolute `path`, if one does."""
    mount = mount_of(path, mounts)
    if mount is None or not is_network(mount.kind):
        return None
    return Danger(f"a network or shared file system ({mount.kind})", mount.point)


def cloud_danger(path: Path, exists: Callable[[Path], bool] = Path.exists) -> Danger | None:
    """The sync program whose folder holds the absolute `path`, by its folder's name or by its marker files."""
    for folder in (path, *path.parents):
        for pattern, program in CLOUD_NAMES:
            if pattern.fullmatch(folder.name):
                return Danger(f"a folder that {program} syncs", str(folder))
        for marker, program in CLOUD_MARKERS:
            if exists(folder / marker):
                return Danger(f"a folder that {program} syncs", str(folder))
    return None


def list_mounts() -> list[Mount]:
    """The mounts of this machine; empty where it cannot say."""
    try:
        if sys.platform == "darwin":
            shown = subprocess.run(["/sbin/mount"], capture_output=True, check=True, timeout=10).stdout
            return read_mac_mounts(os.fsdecode(shown))
        return read_mountinfo(Path("/proc/self/mountinfo").read_bytes().decode("utf-8", "surrogateescape"))
    except (OSError, subprocess.SubprocessError):
        return []


@lru_cache(maxsize=256)
def kind_of_device(device: int, folder: str) -> str:
    """The kind of file system that holds `folder`; `device` is its st_dev, so that a new mount is looked up anew."""
    del device
    mount = mount_of(folder, list_mounts())
    return mount.kind if mount else ""


def find_danger(folder: Path) -> Danger | None:
    """Why `folder`, which need not exist yet, is not a safe place for a study; None if it is safe."""
    place = folder.expanduser().resolve()
    return network_danger(str(place), list_mounts()) or cloud_danger(place) or cloud_danger(folder.absolute())


def refuse_unsafe(folder: Path) -> None:
    """Raise UnsafePlace, with the three ways out, if `folder` is on a network disk or synced to a cloud."""
    danger = find_danger(folder)
    if danger is not None:
        raise UnsafePlace(
            f"{folder} lies in {danger.what}, which begins at {danger.where}: a database there can be damaged.",
            todo=WAYS_OUT,
        )
