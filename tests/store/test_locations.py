"""A study is refused on network file systems and in cloud-synced folders, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonground.errors import UnsafePlace
from commonground.store import locations
from commonground.store.locations import Mount

LAPTOP = r"""
22 28 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
25 28 0:5 / /dev rw,nosuid shared:2 - devtmpfs udev rw,size=8000000k,mode=755
28 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw,errors=remount-ro
30 25 0:26 / /dev/shm rw,nosuid,nodev shared:4 - tmpfs tmpfs rw
55 28 0:45 / /sys/fs/fuse/connections rw shared:20 - fusectl fusectl rw
97 28 259:3 / /home rw,relatime shared:50 - btrfs /dev/nvme0n1p3 rw,space_cache=v2
211 97 0:60 / /home/ada/work\040disk rw,relatime shared:99 - xfs /dev/sdb1 rw
230 97 0:61 / /home/ada/.cache/doc rw - fuse.portal portal rw,user_id=1000
240 97 8:33 / /home/ada/stick rw - fuseblk /dev/sdc1 rw
250 97 0:70 / /home/ada/caf\303\251 rw - nfs4 server:/export/caf\303\251 rw
"""
CLUSTER = """
28 1 253:0 / / rw,relatime shared:1 - xfs /dev/mapper/root rw
40 28 0:40 / /home rw shared:5 - nfs4 nas01:/vol/home rw,vers=4.2
41 28 0:41 / /scratch rw shared:6 - lustre 10.0.0.1@o2ib:/scratch rw,flock
42 28 0:42 / /gpfs/fs1 rw shared:7 - gpfs fs1 rw
43 28 0:43 / /bee rw shared:8 - beegfs beegfs_nodev rw
44 28 0:44 / /gluster rw shared:9 - fuse.glusterfs gfs:/v1 rw
45 28 0:45 / /ceph rw shared:10 - ceph 10.0.0.2:6789:/ rw
46 28 0:46 / /mnt/share rw shared:11 - cifs //files/share rw,vers=3.0
47 28 0:47 / /mnt/remote rw shared:12 - fuse.sshfs ada@host: rw
48 28 0:48 / /mnt/bucket rw shared:13 - fuse.rclone s3:bucket rw
49 28 0:49 / /mnt/c rw shared:14 - 9p drvfs rw,aname=drvfs
50 28 0:50 / /mnt/smb3 rw shared:15 - smb3 //files/other rw
51 28 0:51 / /auto rw shared:16 - autofs systemd-1 rw
52 51 0:52 / /auto rw shared:17 - nfs nas02:/auto rw
60 40 8:1 / /home/local rw shared:18 - ext4 /dev/sda1 rw
"""
MAC = """
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
devfs on /dev (devfs, local, nobrowse)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
//ada@files/share on /Volumes/share (smbfs, nodev, nosuid, mounted by ada)
nas:/export on /Volumes/My Study (v2) (nfs, nodev, nosuid)
ada@host:/data on /Volumes/far (macfuse, nodev, nosuid, synchronous, mounted by ada)
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/var/study", "ext4"),
        ("/home/ada/study", "btrfs"),
        ("/home/ada/work disk/study", "xfs"),
        ("/home/ada/stick/study", "fuseblk"),
        ("/home/adam", "btrfs"),
        ("/dev/shm/x", "tmpfs"),
    ],
)
def test_local_disks_are_allowed(path, kind):
    """On a recorded laptop each local mount is found, with escaped spaces, and is no danger."""
    mounts = locations.read_mountinfo(LAPTOP)
    found = locations.mount_of(path, mounts)
    assert found is not None
    assert found.kind == kind
    assert locations.network_danger(path, mounts) is None


@pytest.mark.parametrize(
    ("path", "kind", "begins"),
    [
        ("/home/ada/study", "nfs4", "/home"),
        ("/scratch/ada", "lustre", "/scratch"),
        ("/gpfs/fs1/x", "gpfs", "/gpfs/fs1"),
        ("/bee/x", "beegfs", "/bee"),
        ("/gluster/x", "fuse.glusterfs", "/gluster"),
        ("/ceph", "ceph", "/ceph"),
        ("/mnt/share/x", "cifs", "/mnt/share"),
        ("/mnt/remote/x", "fuse.sshfs", "/mnt/remote"),
        ("/mnt/bucket/x", "fuse.rclone", "/mnt/bucket"),
        ("/mnt/c/Users", "9p", "/mnt/c"),
        ("/mnt/smb3/x", "smb3", "/mnt/smb3"),
        ("/auto/x", "nfs", "/auto"),
    ],
)
def test_network_disks_are_dangers(path, kind, begins):
    """On a recorded cluster each network mount is named by its kind and its folder; an automount counts as what it holds."""  # noqa: E501 - one fact
    danger = locations.network_danger(path, locations.read_mountinfo(CLUSTER))
    assert danger is not None
    assert kind in danger.what
    assert danger.where == begins


def test_local_disk_inside_a_network_home_is_allowed():
    """The deepest mount decides: a local disk mounted below a network home is safe, its neighbour is not."""
    mounts = locations.read_mountinfo(CLUSTER)
    assert locations.network_danger("/home/local/study", mounts) is None
    assert locations.network_danger("/home/locality", mounts) is not None


def test_names_of_mounts_in_utf8_are_read():
    """Octal escapes of UTF-8 bytes become the name that Python uses for the folder."""
    assert locations.network_danger("/home/ada/café/study", locations.read_mountinfo(LAPTOP)) is not None


def test_mac_mounts():
    """The output of macOS' mount gives kind and folder, also for a name with spaces and brackets."""
    mounts = locations.read_mac_mounts(MAC)
    assert locations.network_danger("/Volumes/share/x", mounts) is not None
    assert locations.network_danger("/Volumes/My Study (v2)/x", mounts) is not None
    assert locations.network_danger("/Volumes/far/x", mounts) is not None
    assert locations.network_danger("/Users/ada/study", mounts) is None
    assert len(mounts) == 7


@given(st.text(max_size=300))
def test_no_text_breaks_the_readers(text):
    """Any text is read without an error, because a mount table is not ours."""
    locations.read_mountinfo(text)
    locations.read_mac_mounts(text)


@given(st.lists(st.binary(min_size=1, max_size=12).filter(lambda name: not {0, 47} & set(name)), max_size=4))
def test_escaped_mount_points_are_read_back(parts):
    """A mount point of any bytes, escaped as the kernel does, is read back as the path that Python uses."""
    point = b"/" + b"/".join(parts)
    escaped = b"".join(
        b"\\%03o" % byte if byte in b" \t\n\\#\r\x0b\x0c\x1c\x1d\x1e\x85" else bytes([byte]) for byte in point
    )
    line = b"28 1 259:2 / " + escaped + b" rw - ext4 /dev/sda rw"
    if len(line.decode("utf-8", "surrogateescape").splitlines()) == 1:
        mounts = locations.read_mountinfo(line.decode("utf-8", "surrogateescape"))
        assert mounts == [Mount(point.decode("utf-8", "surrogateescape"), "ext4", "/dev/sda")]


@pytest.mark.parametrize(
    "path",
    [
        "/home/ada/Dropbox/study",
        "/home/ada/Dropbox (Clinic)/study",
        "/Users/ada/OneDrive - Clinic/study",
        "/Users/ada/Google Drive/study",
        "/Users/ada/Library/Mobile Documents/com~apple~CloudDocs/study",
        "/Users/ada/Library/CloudStorage/GoogleDrive-ada@example.org/My Drive/study",
        "/home/ada/Nextcloud/study",
    ],
)
def test_cloud_folders_by_name(path):
    """The folder names of the sync programs are recognised anywhere in a path."""
    assert locations.cloud_danger(Path(path), lambda _: False) is not None


@pytest.mark.parametrize(
    "path", ["/data/dropbox-export/study", "/home/ada/My OneDriver/x", "/srv/study", "/home/Box/x"]
)
def test_similar_names_are_allowed(path):
    """A name that only resembles a sync program's is not refused."""
    assert locations.cloud_danger(Path(path), lambda _: False) is None


@pytest.mark.parametrize("marker", [name for name, _ in locations.CLOUD_MARKERS])
def test_cloud_folders_by_marker(marker, tmp_path):
    """A sync program's marker file in the folder or above it is found, whatever the folder is called."""
    (tmp_path / "team" / "deep").mkdir(parents=True)
    (tmp_path / "team" / marker).touch()
    danger = locations.cloud_danger(tmp_path / "team" / "deep")
    assert danger is not None
    assert danger.where == str(tmp_path / "team")
    with pytest.raises(UnsafePlace, match="syncs"):
        locations.refuse_unsafe(tmp_path / "team" / "deep" / "not yet there")


def test_link_into_a_cloud_folder_is_refused_with_three_ways_out(tmp_path):
    """A symbolic link does not hide the place, and the error names all three ways out."""
    (tmp_path / "Dropbox").mkdir()
    (tmp_path / "study").symlink_to(tmp_path / "Dropbox")
    with pytest.raises(UnsafePlace) as caught:
        locations.refuse_unsafe(tmp_path / "study" / "s")
    assert all(word in str(caught.value) for word in ("local disk", "cg serve", "PostgreSQL"))


def test_this_test_folder_is_allowed(tmp_path):
    """A plain local folder is not refused, and its file system's kind is known."""
    locations.refuse_unsafe(tmp_path)
    assert locations.kind_of_device(tmp_path.stat().st_dev, str(tmp_path))
