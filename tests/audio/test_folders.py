import os
import socket

import av
import pytest

from genre.audio.decode import FORMATS, SUFFIXES
from genre.audio.folders import FoundFiles, find_audio, left_out

# Muxers of the formats that are decoded, where FFmpeg has them under other names
MUXERS = "adts mp2 opus oga ogv spx ipod mp4 3gp 3g2 psp ismv f4v vob webm".split()
WITHOUT_SOUND = {"apl", "avif", "heic", "heif", "ism", "mks"}  # indices, images and subtitles


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"sound")


def names(found, folder):
    return [path.relative_to(folder).as_posix() for path in found.files]


def test_every_suffix_of_ffmpegs_formats_is_known():
    extensions = set()
    for mode, formats in (("r", FORMATS.split(",")), ("w", FORMATS.split(",") + MUXERS)):
        for name in formats:
            try:
                extensions |= av.ContainerFormat(name, mode).extensions
            except ValueError:  # FFmpeg reads it only, or writes it only
                continue
    assert len(extensions) > 40
    assert {f".{extension}" for extension in extensions - WITHOUT_SOUND} <= SUFFIXES


HIDDEN = ["._song.mp3", ".song.mp3", ".DS_Store", ".git/a.mp3", ".cover.jpg.icloud"]
CLOUD = [".far away.mp3.icloud", "....and far.FLAC.icloud", "b/near.mp3.nextcloud"]
SYSTEM = [
    *("$Recycle.Bin/S-1-5-21-1-2/$R1.mp3", "#recycle/a.mp3", "a/@RECYCLE/b.mp3", "a/@eaDir/c.mp3", "LOST.DIR/a.mp3"),
    *("RECYCLER/S-1-5-21-1-2/Dc1.mp3", "System Volume Information/a.mp3", "lost+found/a.mp3", "FOUND.000/a.mp3"),
    *(".Trash-1000/a.mp3", "__MACOSX/a.mp3", "Recycle Bin - Volume_1/a.mp3", "papierkorb/a.mp3", "корзина/a.mp3"),
]


@pytest.mark.parametrize(
    ("files", "others", "lines"),
    [
        (
            ["a.mp3", "b/1.caf", "b/2.MP3", "b.mp3"],
            ["cover.jpg", "b/list.m3u", "b/song"],
            ["3 other files skipped"],
        ),
        (["...And an Album/01.mp3", "..Hits/.. and/...and a Song.mp3", "a/b..mp3"], [], []),  # titles, not hidden
        (["song.mp3"], HIDDEN, ["4 hidden files skipped", "1 hidden or system folder skipped: .git"]),
        ([], CLOUD, ["2 songs are not downloaded from iCloud", "1 song is not downloaded from Nextcloud"]),
        (
            ["#1 Hits/a.mp3", "$uicide/a.mp3", "RECYCLER/a.mp3"],
            SYSTEM,
            ["14 hidden or system folders skipped: #recycle, $Recycle.Bin, .Trash-1000 and 11 more"],
        ),
    ],
)
def test_songs_are_found_sorted_and_others_counted(tmp_path, files, others, lines):
    touch(*(tmp_path / name for name in [*others, *reversed(files)]))
    found = find_audio(tmp_path)
    assert names(found, tmp_path) == files
    assert [line.startswith(start) for line, start in zip(left_out([found]), lines, strict=True)] == [True] * len(lines)


def test_a_folder_that_is_given_is_walked_where_it_is_hidden_but_not_where_it_is_the_systems(tmp_path):
    touch(tmp_path / ".music" / "a.mp3", tmp_path / "#recycle" / "a.mp3")
    assert names(find_audio(tmp_path / ".music"), tmp_path) == [".music/a.mp3"]
    assert find_audio(tmp_path / "#recycle") == FoundFiles(folders=[tmp_path / "#recycle"])


def test_links_are_followed(tmp_path):
    touch(tmp_path / "disk" / "album" / "a.mp3", tmp_path / "disk" / "b.mp3")
    library = tmp_path / "library"
    library.mkdir()
    (library / "album").symlink_to(tmp_path / "disk" / "album")
    (library / "b.mp3").symlink_to(tmp_path / "disk" / "b.mp3")
    (library / "gone.mp3").symlink_to(tmp_path / "disk" / "gone.mp3")  # decoding reports it
    assert names(find_audio(library), library) == ["album/a.mp3", "b.mp3", "gone.mp3"]
    (tmp_path / "link").symlink_to(library)
    assert names(find_audio(tmp_path / "link"), tmp_path) == ["link/album/a.mp3", "link/b.mp3", "link/gone.mp3"]


def test_a_folder_is_walked_once_by_its_real_path(tmp_path):
    touch(tmp_path / "library" / "z" / "song.mp3", tmp_path / "other" / "song.mp3")
    for link, target in {
        "a": "z",
        "z/again": "z",
        "z/up": ".",
        "z/top": "..",
        "1": "../other",
        "2": "../other",
    }.items():
        (tmp_path / "library" / link).symlink_to((tmp_path / "library" / target).resolve())
    assert names(find_audio(tmp_path / "library"), tmp_path / "library") == ["1/song.mp3", "z/song.mp3"]


def test_unreadable_paths_are_reported(tmp_path):
    touch(tmp_path / "a.mp3")
    (tmp_path / "circle").symlink_to("circle")
    found = find_audio(tmp_path)
    assert names(found, tmp_path) == ["a.mp3"]
    assert found.unreadable == {tmp_path / "circle": "too many levels of symbolic links"}
    assert find_audio(tmp_path / "gone").unreadable == {tmp_path / "gone": "no such file or directory"}


def test_pipes_and_sockets_count_as_others(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp3")
    (tmp_path / "link.mp3").symlink_to(tmp_path / "pipe.mp3")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.mp3"))
        assert find_audio(tmp_path) == FoundFiles(others=3)


def test_names_that_are_not_utf8_are_found(tmp_path):
    for name in (b"a.mp3", b"Bj\xf6rk.mp3", b"z.mp3"):
        touch(tmp_path / os.fsdecode(name))
    assert [os.fsencode(path.name) for path in find_audio(tmp_path).files] == [b"Bj\xf6rk.mp3", b"a.mp3", b"z.mp3"]
