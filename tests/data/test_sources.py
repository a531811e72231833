import csv
import os
import shutil
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import av
import pytest
from filelock import FileLock

from genre.audio.folders import main_artist
from genre.data import prepare
from genre.data.dataset import DataSet
from genre.data.sources import CLIPS_PER_SONG, clip_starts, cut_songs, fma_small, folder_songs, is_fma_small
from genre.errors import DataError
from tests.conftest import music, write_audio

CODECS = {".flac": "flac", ".ogg": "vorbis", ".opus": "libopus", ".mp3": "libmp3lame", ".m4a": "aac"}


def write_song(path, tags=None):
    """Half a second of music; Ogg has tags in the stream, other formats in the container."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = write_audio(path, [music(0.5, 48000)] * 2, CODECS[path.suffix], rate=48000)
    if tags:
        tagged = path.with_stem("tagged")
        with av.open(str(plain)) as read, av.open(str(tagged), "w") as write:
            copy = write.add_stream_from_template(read.streams.audio[0])
            (copy if path.suffix in (".ogg", ".opus") else write).metadata.update(tags)
            for packet in read.demux(read.streams.audio[0]):
                if packet.dts is not None:
                    packet.stream = copy
                    write.mux(packet)
        tagged.replace(path)
    return path


def test_a_song_is_cut_into_clips_that_overlap_by_half_at_most():
    assert clip_starts(0) == clip_starts(10) == clip_starts(30) == clip_starts(44) == [0]
    assert clip_starts(45) == [0, 15]
    assert clip_starts(60) == [0, 15, 30]
    assert clip_starts(95) == pytest.approx([0, 16.25, 32.5, 48.75, 65])
    assert len(clip_starts(400)) == CLIPS_PER_SONG
    assert max(clip_starts(400)) == pytest.approx(370)


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".opus", ".mp3", ".m4a"])
def test_artists_are_read_from_the_tags_of_every_container(tmp_path, suffix, capsys):
    for number, tag in enumerate(("artist", "album_artist", None)):
        write_song(tmp_path / "Folk" / f"{number}{suffix}", tag and {tag: "The Same"})
    artists = {clip.path.stem: clip.artist for clip in cut_songs(folder_songs(tmp_path), tmp_path)}
    assert artists == {"0": "the same", "1": "the same", "2": str(tmp_path / "Folk" / f"2{suffix}")}
    assert "1 by the tag 'artist', 1 by the tag 'album_artist'" in capsys.readouterr().out


def test_songs_with_guests_are_their_bands(tmp_path):
    """As Picard and shops tag them; who chose the songs of a compilation is not their artist."""
    band = {"album_artist": "Band"}
    tags = [
        {"artist": "Band"},
        {"artist": "Band feat. Guest"} | band,
        {"artist": "Guest & Band"} | band,
        {"artist": "Band (ft. Guest)", "album_artist": "[Various Artists]"},
        {"artist": "Band", "album_artist": "A DJ", "compilation": "1"},
    ]
    for number, one in enumerate(tags):
        write_song(tmp_path / "Folk" / f"{number}.flac", one)
    assert [clip.artist for clip in folder_songs(tmp_path)] == ["band"] * 5


@pytest.mark.parametrize(
    ("artist", "names"),
    {
        "a": "A feat. B|A (Featuring B)|A ft.B|A with B|A & B|A and B|A, B & C|A/B|A;B|A; B|A x B|A vs. B|A w/ B|a",
        "the a": "The A mit B|The A avec B|The A y B|The A presents B|The A -feat. B-|The A、B",
        "little feat": "Little Feat|Little Feat feat. B|Little Feat & B",
        "lil nas x": "Lil Nas X|Lil Nas X (feat. B)",
        "beyoncé": unicodedata.normalize("NFD", "Beyoncé|Beyoncé feat. B"),
        "10,000 maniacs": "10,000 Maniacs|10,000  maniacs with B",
        "within temptation": "Within Temptation",
        "ft. worth symphony": "Ft. Worth Symphony",
        "": "Various Artists|V/A|Verschiedene Interpreten|[unknown]|Various; B",
    }.items(),
)
def test_one_artist_of_several_is_one_group(artist, names):
    assert {main_artist(name) for name in names.split("|")} == {artist}


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names are Unicode on this system")
def test_artists_are_read_from_files_whose_name_is_not_utf_8(tmp_path):
    write_song(tmp_path / "Folk" / "song.flac", {"artist": "The Same"})
    (tmp_path / "Folk" / "song.flac").rename(os.fsdecode(os.fsencode(tmp_path / "Folk") + b"/caf\xe9.flac"))
    (clip,) = folder_songs(tmp_path)
    assert clip.artist == "the same"


def test_songs_without_artists_are_separate_and_reported(tmp_path, capsys):
    for number in range(3):
        write_song(tmp_path / "Folk" / f"{number}.flac", {"title": str(number)})
    write_song(tmp_path / "Folk" / "various.flac", {"artist": "Various Artists"})  # names none
    assert len({clip.artist for clip in cut_songs(folder_songs(tmp_path), tmp_path)}) == 4
    assert "4 songs name no artist and count as artists of their own" in capsys.readouterr().out


def test_a_folder_without_songs_raises(tmp_path):
    (tmp_path / "notes").mkdir()
    with pytest.raises(DataError, match="needs sub-folders with songs"):
        folder_songs(tmp_path)


def write_fma(folder, tracks):
    """FMA's table with its three header rows; tracks are (id, genre, split, subset)."""
    (folder / "fma_metadata").mkdir(parents=True)
    (folder / "fma_small").mkdir()
    with (folder / "fma_metadata" / "tracks.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["", "artist", "set", "set", "track", "track"])
        writer.writerow(["", "name", "split", "subset", "genre_top", "title"])
        writer.writerow(["track_id", "", "", "", "", ""])
        writer.writerows(
            [track, "10,000 Names & Guest", split, subset, genre, ""] for track, genre, split, subset in tracks
        )


def test_fma_small_has_its_official_split(tmp_path, capsys):
    write_fma(
        tmp_path,
        [
            (2, "Hip-Hop", "training", "small"),
            (3, "Hip-Hop", "training", "medium"),
            (1040, "Rock", "validation", "small"),
            (99134, "Rock", "training", "small"),
            (140000, "Rock", "test", "small"),
        ],
    )
    assert is_fma_small(tmp_path)
    clips = fma_small(tmp_path)
    assert {clip.artist for clip in clips} == {"10,000 names"}
    assert [(clip.track_id, clip.genre, clip.split) for clip in clips] == [
        ("2", "Hip-Hop", "training"),
        ("1040", "Rock", "validation"),
        ("140000", "Rock", "test"),
    ]
    assert clips[1].path == tmp_path / "fma_small" / "001" / "001040.mp3"
    assert "1 known to be broken" in capsys.readouterr().out


def test_another_table_raises(tmp_path):
    write_fma(tmp_path, [])
    (tmp_path / "fma_metadata" / "tracks.csv").write_text("a,b\nc,d\n,\n")
    with pytest.raises(DataError, match="not FMA's table"):
        fma_small(tmp_path)


def test_fma_small_is_downloaded_by_its_name_where_it_is_missing(tmp_path, monkeypatch):
    fetched = []
    monkeypatch.setattr(prepare, "fetch_fma_small", lambda folder: fetched.append(folder) or write_fma(folder, []))
    monkeypatch.setattr(prepare, "build_archive", lambda clips, front_ends, folder: None)
    monkeypatch.setattr(prepare, "read_data", lambda folders, **_: DataSet([], [], []))
    for _ in range(2):
        prepare.prepare(prepare.Preparation([tmp_path / "fma_small"], tmp_path / "archives", ["dense"]))
    assert fetched == [tmp_path / "fma_small"]


def test_fma_audio_without_metadata_raises(tmp_path):
    write_song(tmp_path / "000" / "000002.mp3")
    with pytest.raises(DataError, match="name the folder above it"):
        prepare.prepare(prepare.Preparation([tmp_path], tmp_path / "archives", ["dense"]))


@pytest.mark.parametrize("name", ["music", "fma_small"])
def test_genre_folders_are_not_taken_for_other_data(tmp_path, name):
    """With a list of the songs, arrays of the owner's own, numbers as genres, and the name of a download."""
    for genre in ("000", "001"):
        write_song(tmp_path / name / genre / "1.mp3", {"artist": genre})
    (tmp_path / name / "index.csv").write_text("filename,label\n000/1.mp3,000\n")
    (tmp_path / name / "features.npy").write_bytes(b"")
    assert prepare.holds_genre_folders(tmp_path / name)
    (tmp_path / name / "index.csv").write_text("track_id,genre\n1,Rock\n")
    assert prepare.is_prepared(tmp_path / name)
    (tmp_path / name / "features.npy").unlink()
    assert prepare.holds_genre_folders(tmp_path / name)


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="such names are one file on this system")
def test_genres_that_are_spelled_alike_are_one_and_named(tmp_path, capsys):
    forms = [unicodedata.normalize(form, "Música") for form in ("NFC", "NFD")]
    dashes = ["Hip-Hop", "Hip\u2010Hop", "Drum'n'Bass", "Drum\u2019n\u2019Bass"]
    for number, name in enumerate([*forms, "Rock", "rock", *dashes]):
        write_song(tmp_path / name / f"{number}.flac", {"artist": str(number)})
    genres = ["Drum'n'Bass", "Hip-Hop", forms[0], "Rock"]
    assert sorted(song.genre for song in folder_songs(tmp_path)) == [name for name in genres for _ in range(2)]
    assert "Rock and rock are one genre, Rock: they differ in case" in capsys.readouterr().out


@pytest.mark.parametrize("outer", [["fold1", "fold2"], ["2019", "2020"]])
def test_folders_that_all_hold_the_same_folders_are_named(tmp_path, outer, capsys):
    for number, name in enumerate(f"{one}/{genre}" for one in outer for genre in ("Pop", "Rock")):
        write_song(tmp_path / name / f"{number}.flac", {"artist": str(number)})
    folder_songs(tmp_path)
    assert f"{' and '.join(outer)} are learned as genres, and all hold Pop and Rock" in capsys.readouterr().out


PARTS = {"training": "Train", "validation": "val", "test": "test_set"}


@pytest.mark.parametrize(
    "place", ["{part}/{genre}", "{genre}/{part}", "music/{part}/{genre}/CD 1", "music/{genre}/{part}"]
)
def test_folders_for_training_and_test_are_the_split_and_no_genres(tmp_path, place, capsys):
    for split, part in PARTS.items():
        for genre in ("Pop", "Rock"):
            path = tmp_path / place.format(part=part, genre=genre) / "song.flac"
            write_song(path, {"artist": "one" if split != "test" else "two", "title": f"{split} {genre}"})
    clips = folder_songs(tmp_path)
    assert {(clip.genre, clip.split) for clip in clips} == {
        (genre, split) for genre in ("Pop", "Rock") for split in PARTS
    }
    printed = capsys.readouterr().out
    assert "its folders for test, training, validation are the split, and no genres" in printed
    assert "artists with songs in two parts of this split: 1 (one); figures are too high" in printed


def test_folders_for_training_and_test_without_genres_raise(tmp_path):
    for part in ("train", "test"):
        write_song(tmp_path / part / "album" / part / "song.flac", {"title": part})
    (tmp_path / "train" / "album").rename(tmp_path / "train" / "other album")
    with pytest.raises(DataError, match="test and train look like the parts of a split, but share no genre folders"):
        folder_songs(tmp_path)


def test_folders_of_one_name_have_separate_archives(tmp_path, monkeypatch):
    built = {}
    monkeypatch.setattr(prepare, "build_archive", lambda clips, front_ends, folder: built.update({folder: clips}))
    monkeypatch.setattr(prepare, "read_data", lambda folders, **_: DataSet(list(folders), [], []))
    songs = [write_song(tmp_path / number / "music" / "Folk" / "a.flac") for number in "12"]
    folders = [song.parent.parent for song in songs]
    data = prepare.prepare(prepare.Preparation(folders, tmp_path / "archives", ["dense"]))
    assert data.genres == ["music", "music-2"]
    assert sorted(clip.path for clips in built.values() for clip in clips) == songs
    assert len(built) == 2


def test_a_training_waits_while_another_one_writes_the_archives(tmp_path, capsys):
    for name in ("one", "two", "three", "four", "five", "six"):
        write_song(tmp_path / "songs" / ("Rock" if len(name) == 3 else "Pop") / f"{name}.flac", {"artist": name})
    (tmp_path / "archives").mkdir()
    preparation = prepare.Preparation([tmp_path / "songs"], tmp_path / "archives", ["dense"])
    with ThreadPoolExecutor(1) as other:
        with FileLock(tmp_path / "archives" / ".lock"):
            waiting = other.submit(prepare.prepare, preparation)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=2)
            assert [path.name for path in (tmp_path / "archives").iterdir()] == [".lock"]
        assert len(waiting.result(timeout=60).sources[0].ids) == 6
    assert "Another training is writing the archives" in capsys.readouterr().out


def test_songs_beside_the_genre_folders_and_empty_folders_are_named(tmp_path, capsys):
    write_song(tmp_path / "Rock" / "one.flac")
    write_song(tmp_path / "loose.flac")
    (tmp_path / "Pop").mkdir()
    folder_songs(tmp_path)
    printed = capsys.readouterr().out
    assert "1 songs beside the genre folders are left out" in printed and "no song is in Pop" in printed


def test_copies_of_a_file_are_left_out_of_a_genre_and_refused_in_two(tmp_path, capsys):
    song = write_song(tmp_path / "Rock" / "one.flac")
    write_song(tmp_path / "Rock" / "two.flac", {"artist": "another"})
    shutil.copy(song, tmp_path / "Rock" / "three.flac")
    assert {clip.path.name for clip in folder_songs(tmp_path)} == {"one.flac", "two.flac"}
    assert "Rock/three.flac is the same file as Rock/one.flac and is left out" in capsys.readouterr().out
    (tmp_path / "Pop").mkdir()
    shutil.copy(song, tmp_path / "Pop" / "four.flac")
    with pytest.raises(DataError, match=r"Pop/four\.flac and Rock/one\.flac are the same file"):
        folder_songs(tmp_path)
