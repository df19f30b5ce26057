"""Differences as git writes them."""

import pytest

from commonground.errors import Corrupt
from commonground.structure.patches import Patch, read_patches

OLD, NEW = "1" * 40, "2" * 40
EDIT = f"""diff --git a/a.py b/a.py
index {OLD}..{NEW} 100644
--- a/a.py
+++ b/a.py
@@ -1,3 +1,3 @@
 one
-two
+zwei
 three
@@ -9 +9,2 @@
-nine
\\ No newline at end of file
+nine
+ten
"""
BASE = b"one\ntwo\nthree\n4\n5\n6\n7\n8\nnine"


def test_a_patch_says_what_it_changes():
    """Path, ids and mode are read from the header."""
    (patch,) = read_patches(EDIT.encode())
    assert (patch.path, patch.new_id, patch.mode, patch.is_text) == ("a.py", NEW, "100644", True)
    assert (patch.is_new, patch.is_deletion, patch.is_binary, patch.submodule) == (False, False, False, None)


def test_a_patch_gives_the_new_content():
    """Hunks are applied by line number and unchanged lines come from the base."""
    (patch,) = read_patches(EDIT.encode())
    assert patch.apply(BASE) == b"one\nzwei\nthree\n4\n5\n6\n7\n8\nnine\nten\n"


def test_context_and_removed_lines_need_not_be_right():
    """A patch whose context and removed lines were screened gives the same content."""
    (patch,) = read_patches(EDIT.replace(" one", " [removed: x]").replace("-two", "-[removed: x]").encode())
    assert patch.apply(BASE) == b"one\nzwei\nthree\n4\n5\n6\n7\n8\nnine\nten\n"


def test_the_lines_that_are_needed_are_known():
    """Header, hunk heads, added lines and end marks are needed; context and removed lines are not."""
    (patch,) = read_patches(EDIT.encode())
    assert patch.added_lines() == {1, 2, 3, 4, 5, 8, 10, 12, 13, 14}


def test_a_patch_that_does_not_fit_is_refused():
    """A base that is too short for the hunks raises."""
    (patch,) = read_patches(EDIT.encode())
    with pytest.raises(Corrupt, match=r"a\.py do not fit"):
        patch.apply(b"one\n")


def test_the_new_id_can_be_taken_out():
    """Without the id of the new content all else stays."""
    (patch,) = read_patches(EDIT.encode())
    assert patch.without_new_id().text == patch.text.replace(NEW, "0" * 40)


HEADS = {
    "new": (f"diff --git a/x b/x\nnew file mode 100755\nindex {'0' * 40}..{NEW}\n", {"is_new": True, "mode": "100755"}),
    "deleted": (f"diff --git a/x b/x\ndeleted file mode 100644\nindex {OLD}..{'0' * 40}\n", {"is_deletion": True}),
    "mode": ("diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", {"mode": "100755", "new_id": None}),
    "binary": (
        f"diff --git a/x b/x\nindex {OLD}..{NEW} 100644\nBinary files a/x and b/x differ\n",
        {"is_binary": True},
    ),
    "submodule": (
        f"diff --git a/x b/x\nindex {OLD}..{NEW} 160000\n@@ -1 +1 @@\n+Subproject commit {NEW}-dirty",
        {"submodule": f"{NEW}-dirty"},
    ),
}


@pytest.mark.parametrize("kind", HEADS)
def test_kinds_of_change(kind):
    """New, deleted, binary files, changed modes and submodules are told apart by their headers."""
    text, expected = HEADS[kind]
    (patch,) = read_patches(text.encode())
    assert {name: getattr(patch, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("names", "path"),
    [
        (b"a/a b b/a b", "a b"),
        (b"a/x b/y b/x b/y", "x b/y"),
        (b'"a/q\\"t\\t.py" "b/q\\"t\\t.py"', 'q"t\t.py'),
        (b'"a/\\001\\\\" "b/\\001\\\\"', "\x01\\"),
        ("a/ü b/ü".encode(), "ü"),
    ],
)
def test_paths_are_read_as_git_writes_them(names, path):
    """Spaces, quotes, backslashes and control characters in names are understood."""
    (patch,) = read_patches(b"diff --git " + names + b"\nold mode 100644\nnew mode 100755\n")
    assert patch.path == path


def test_what_is_not_text_is_marked():
    """A patch with bytes that are not UTF-8, or with NUL, says so; its header can still be read."""
    for odd in (b"+\xff\n", b"+a\0b\n"):
        (patch,) = read_patches(EDIT.encode() + odd)
        assert (patch.is_text, patch.path, patch.new_id) == (False, "a.py", NEW)


def test_lines_that_look_like_headers_do_not_divide():
    """Only a line that begins with `diff --git` begins a patch; one that is added or removed does not."""
    inner = EDIT.replace("+zwei", "+diff --git a/b b/b").replace("-two", "-diff --git a/c b/c")
    assert [patch.path for patch in read_patches((inner + EDIT).encode())] == ["a.py", "a.py"]


def test_an_empty_file_is_made_and_filled():
    """From nothing to an empty file, and from an empty file to lines."""
    assert Patch("x", HEADS["new"][0].removesuffix("\n")).apply(b"") == b""
    assert Patch("x", HEADS["new"][0] + "@@ -0,0 +1,2 @@\n+a\n+b\n\\ No newline at end of file").apply(b"") == b"a\nb"
