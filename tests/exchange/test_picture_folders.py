"""Folders of pictures into drafts."""

import os
import socket
import zlib

import pytest
from PIL import Image

from commonground.errors import InvalidInput, NotFound, UnsafePath
from commonground.exchange import picture_folders
from commonground.exchange.drafts import SHOWN
from commonground.exchange.picture_folders import match

PATTERN = "{patient}_{scan}.png"


@pytest.fixture
def folder(tmp_path):
    """An empty folder."""
    place = tmp_path / "pictures"
    place.mkdir()
    return place


def draw(path, size=(4, 3), form=None):
    """Writes a small picture that does not compress away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 60).save(path, form)
    return path


def faults(draft):
    """Kind and path of each fault."""
    return sorted((fault.kind, fault.sample) for fault in draft.faults)


def test_pictures_become_rows_with_fields_and_facts(folder):
    """Fields, path, size, type by content, width and height, sorted by path whatever the order of the disk."""
    draw(folder / "P2_S1.png", (5, 6))
    size = draw(folder / "P1_S1.png").stat().st_size
    draft = match(folder, PATTERN)
    assert (draft.rows, draft.faults, draft.fields, draft.key) == (2, (), ("patient", "scan"), ("patient", "scan"))
    table = next(draft.chunks())
    assert table.pop("size")[0] == size
    assert table == {
        "patient": ["P1", "P2"], "scan": ["S1", "S1"], "path": ["P1_S1.png", "P2_S1.png"],
        "media_type": ["image/png"] * 2, "width": [4, 5], "height": [3, 6],
    }  # fmt: skip
    assert [column.type for column in draft.columns] == ["text", "text", "text", "int", "text", "int", "int"]
    assert [len(chunk["path"]) for chunk in draft.chunks(1)] == [1, 1]


@pytest.mark.parametrize(
    ("form", "media"),
    [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("TIFF", "image/tiff"), ("BMP", "image/bmp"), ("GIF", "image/gif"),
     ("WEBP", "image/webp"), ("JPEG2000", "image/jp2"), ("PPM", "image/x-portable-anymap")],
)  # fmt: skip
def test_each_format_is_known_by_its_content(folder, form, media):
    """The media type is that of the bytes; a name that says otherwise is told."""
    draw(folder / "P1_S1.png", form=form)
    draft = match(folder, PATTERN)
    assert next(draft.chunks())["media_type"] == [media]
    assert bool(draft.notes) == (form != "PNG")


def test_several_pictures_in_one_jpeg_are_a_jpeg(folder):
    """What some cameras write is known as JPEG."""
    first, second = Image.effect_noise((4, 3), 60), Image.effect_noise((4, 3), 60)
    first.save(folder / "P1_S1.png", "MPO", save_all=True, append_images=[second])
    assert next(match(folder, PATTERN).chunks())["media_type"] == ["image/jpeg"]


def test_folders_are_part_of_the_pattern(folder):
    """A pattern with folders reaches into them; other files are told, and no fault."""
    draw(folder / "P1" / "S1_l.jpg")
    draw(folder / "P1" / "deep" / "S1_l.jpg")
    (folder / "readme.txt").write_text("x")
    draft = match(folder, "{patient}/{scan}_{view}.jpg")
    assert next(draft.chunks())["path"] == ["P1/S1_l.jpg"]
    assert (draft.unmatched, draft.unmatched_count) == (("P1/deep/S1_l.jpg", "readme.txt"), 2)


def test_what_desktops_leave_behind_is_left_out(folder):
    """Hidden files and thumbnails are neither rows nor unmatched; their number is told."""
    draw(folder / "P1_S1.png")
    for name in (".DS_Store", "._P1_S2.png", "Thumbs.db"):
        (folder / name).write_bytes(b"x")
    draft = match(folder, PATTERN)
    assert (draft.rows, draft.unmatched_count) == (1, 0)
    assert draft.notes == ("3 hidden files or folders, or files that a desktop leaves behind, left out",)


def test_all_broken_pictures_come_at_once(folder):
    """Empty, cut, altered and foreign files are faults, each by its name; the good one is a row."""
    draw(folder / "P1_ok.png")
    (folder / "P1_empty.png").touch()
    content = draw(folder / "P1_cut.png", (40, 40)).read_bytes()
    (folder / "P1_cut.png").write_bytes(content[: len(content) // 2])
    altered = bytearray(content)
    altered[len(content) // 2] ^= 1
    (folder / "P1_altered.png").write_bytes(altered)
    jpeg = draw(folder / "P1_jpeg.png", (40, 40), "JPEG").read_bytes()
    (folder / "P1_jpeg.png").write_bytes(jpeg[: len(jpeg) // 2])
    (folder / "P1_text.png").write_text("no picture")
    draft = match(folder, PATTERN)
    assert faults(draft) == [
        ("broken-picture", "P1_altered.png"), ("broken-picture", "P1_cut.png"), ("broken-picture", "P1_jpeg.png"),
        ("empty-file", "P1_empty.png"), ("not-a-picture", "P1_text.png"),
    ]  # fmt: skip
    with pytest.raises(InvalidInput) as caught:
        draft.chunks()
    assert len(caught.value.faults) == 5


def test_a_picture_of_too_many_pixels_is_not_decoded(folder):
    """A small file that claims 100,000 by 100,000 pixels is a fault, and takes no memory."""
    content = bytearray(draw(folder / "P1_S1.png").read_bytes())
    content[16:24] = (100_000).to_bytes(4) * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    (folder / "P1_S1.png").write_bytes(content)
    content[16:24] = (10_000).to_bytes(4) * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    (folder / "P1_S2.png").write_bytes(content)
    assert faults(match(folder, PATTERN)) == [("too-large", "P1_S1.png"), ("too-large", "P1_S2.png")]


@pytest.mark.filterwarnings("ignore")
def test_a_large_picture_is_refused_also_where_warnings_are_silent(folder):
    """The limit is our own and does not hang on how warnings are treated."""
    content = bytearray(draw(folder / "P1_S1.png").read_bytes())
    content[16:24] = (10_000).to_bytes(4) * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    (folder / "P1_S1.png").write_bytes(content)
    assert faults(match(folder, PATTERN)) == [("too-large", "P1_S1.png")]


def test_a_wrong_checksum_is_a_broken_picture(folder):
    """Pixels that decode but do not match the checksum beside them are not trusted."""
    content = bytearray(draw(folder / "P1_S1.png").read_bytes())
    content[content.index(b"IEND") - 5] ^= 1
    (folder / "P1_S1.png").write_bytes(content)
    assert faults(match(folder, PATTERN)) == [("broken-picture", "P1_S1.png")]


def test_a_format_that_runs_programs_is_no_picture(folder):
    """PostScript, which would start an interpreter, is not opened."""
    (folder / "P1_S1.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    assert faults(match(folder, PATTERN)) == [("not-a-picture", "P1_S1.png")]


def test_names_that_fit_twice_are_faults(folder):
    """A name with one separator too many is not split by chance."""
    draw(folder / "P1_S1_x.png")
    assert faults(match(folder, PATTERN)) == [("ambiguous-name", "P1_S1_x.png")]


def test_names_that_differ_in_case_or_form_are_faults(folder):
    """Two names that another disk would take for one, in files and in folders."""
    draw(folder / "P1_a.png")
    draw(folder / "p1_A.png")
    draw(folder / "caf\u00e9_a.png")
    draw(folder / "cafe\u0301_a.png")
    (folder / "D").mkdir()
    (folder / "d").mkdir()
    found = match(folder, PATTERN)
    assert [kind for kind, _ in faults(found)] == ["duplicate-key", "twin-name", "twin-name", "twin-name"]


def test_pictures_with_one_key_are_faults(folder):
    """Two files for one patient and scan are told together; fields are compared composed."""
    draw(folder / "P1_S1.png")
    draw(folder / "P1_S1.jpg")
    assert match(folder, "{patient}_{scan}.{ending}").faults == ()
    found = match(folder, "{patient}_{scan}.{ending}", key=["patient", "scan"])
    assert [fault.what for fault in found.faults] == ["has the same patient, scan as 'P1_S1.jpg'"]


def test_links_that_lead_outside_are_refused(folder, tmp_path):
    """Every link that leaves the folder is listed, to files, folders, and by detours; nothing is read."""
    outside = draw(tmp_path / "secret.png")
    (tmp_path / "pictures-too").mkdir()
    (folder / "P1_S3.png").symlink_to(tmp_path / "nothing.png")
    (folder / "P1_S1.png").symlink_to(outside)
    (folder / "P1_S2.png").symlink_to("../secret.png")
    (folder / "sub").symlink_to(tmp_path / "pictures-too")
    with pytest.raises(UnsafePath) as caught:
        match(folder, PATTERN)
    assert caught.value.faults == ("P1_S1.png", "P1_S2.png", "P1_S3.png", "sub")


def test_links_within_the_folder_are_files_or_told(folder):
    """A link to a picture within is that picture; one to a folder is not followed; a dead or circular one is none."""
    draw(folder / "P1_S1.png")
    (folder / "P1_S2.png").symlink_to("P1_S1.png")
    (folder / "P1_S3.png").symlink_to("nowhere.png")
    (folder / "P1_S4.png").symlink_to("P1_S4.png")
    (folder / "around").symlink_to(".")
    draft = match(folder, PATTERN)
    assert draft.rows == 2
    assert faults(draft) == [("broken-link", "P1_S3.png"), ("broken-link", "P1_S4.png")]
    assert draft.notes == ("1 links to folders not followed",)


def test_what_is_no_file_is_never_opened(folder):
    """A pipe would wait for ever, a socket is none: both are faults."""
    draw(folder / "P1_S1.png")
    os.mkfifo(folder / "P1_S2.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "P1_S3.png"))
        assert faults(match(folder, PATTERN)) == [("not-a-file", "P1_S2.png"), ("not-a-file", "P1_S3.png")]


def test_names_that_no_text_can_hold_are_faults(folder):
    """Control characters, and bytes that are not UTF-8."""
    draw(folder / "P1_S1.png")
    (folder / "P1\n_S2.png").touch()
    os.close(os.open(os.fsencode(folder) + b"/P1_\xff.png", os.O_CREAT | os.O_WRONLY))
    assert faults(match(folder, PATTERN)) == [("bad-name", "P1\\n_S2.png"), ("bad-name", "P1_\\udcff.png")]


def test_a_picture_that_vanishes_is_a_fault(folder):
    """A file that is gone when its turn comes is told as unreadable, and the next one is read."""
    there = draw(folder / "P1_S1.png")
    files = [picture_folders._File("a", folder / "gone.png", 9), picture_folders._File("b", there, 9)]
    picture_folders._look_at(files)
    assert files[0].fault == ("unreadable", "the file cannot be read: No such file or directory")
    assert (files[1].fault, files[1].width) == (None, 4)


def test_a_folder_without_fitting_files_is_a_fault(folder):
    """Nothing to import is said, with the files there are."""
    (folder / "a.txt").write_text("x")
    draft = match(folder, PATTERN)
    assert [fault.kind for fault in draft.faults] == ["no-rows"]
    assert draft.unmatched == ("a.txt",)


def test_many_unmatched_files_are_counted(folder):
    """The list is bounded, the number is exact."""
    draw(folder / "P1_S1.png")
    for number in range(SHOWN + 9):
        (folder / f"{number}.txt").touch()
    draft = match(folder, PATTERN)
    assert (len(draft.unmatched), draft.unmatched_count) == (SHOWN, SHOWN + 9)


def test_wrong_questions_are_refused(folder):
    """No folder, a file, fields that are columns already, and keys that are no field."""
    with pytest.raises(NotFound):
        match(folder / "none", PATTERN)
    (folder / "a").touch()
    with pytest.raises(InvalidInput):
        match(folder / "a", PATTERN)
    with pytest.raises(InvalidInput, match="size, path"):
        match(folder, "{size}_{path}.png")
    with pytest.raises(InvalidInput):
        match(folder, PATTERN, key="view")
    draw(folder / "P1_S1.png")
    with pytest.raises(InvalidInput):
        match(folder, PATTERN).chunks(0)


def test_a_folder_reached_by_a_link_is_a_folder(folder, tmp_path):
    """The folder itself may be a link; its files do not lead outside it."""
    draw(folder / "P1_S1.png")
    (tmp_path / "link").symlink_to(folder)
    assert match(tmp_path / "link", PATTERN).rows == 1
