import csv
from argparse import Namespace

import av
import pytest

import train
from genre.errors import DataError
from genre.sources import CLIPS_PER_SONG, fma_small, genre_folders, is_fma_small
from tests.conftest import music, write_audio


def write_song(path, seconds=2, artist=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, [music(seconds, 22050)], "flac", rate=22050)
    if artist:
        tagged = path.with_suffix(".tagged.flac")
        with av.open(str(path)) as read, av.open(str(tagged), "w") as write:
            write.metadata["artist"] = artist
            copy = write.add_stream_from_template(read.streams.audio[0])
            for packet in read.demux(read.streams.audio[0]):
                if packet.dts is not None:
                    packet.stream = copy
                    write.mux(packet)
        tagged.replace(path)
    return path


def test_no_artist_is_in_two_splits(tmp_path):
    for genre in ("Folk", "Rock"):
        for number in range(24):
            artist = "On Both Sides" if number == 0 else f"{genre} artist {number % 6}"
            write_song(tmp_path / genre / f"{number}.flac", 0.2, artist)
    sources = genre_folders(tmp_path)
    splits = {}
    for source in sources:
        number = int(source.path.stem)
        artist = "On Both Sides" if number == 0 else f"{source.genre} {number % 6}"
        splits.setdefault(artist, set()).add(source.split)
    assert all(len(one) == 1 for one in splits.values())
    for genre in ("Folk", "Rock"):
        assert {s.split for s in sources if s.genre == genre} == {"training", "validation", "test"}
    assert genre_folders(tmp_path) == sources  # the same every time


def test_songs_without_tags_are_split_by_file_and_that_is_said(tmp_path, capsys):
    for genre in ("Folk", "Rock"):
        for number in range(10):
            write_song(tmp_path / genre / f"{number}.flac", 0.2)
    sources = genre_folders(tmp_path)
    for genre in ("Folk", "Rock"):
        counts = [sum(s.split == split for s in sources if s.genre == genre) for split in ("validation", "test")]
        assert counts == [1, 1]
    assert "other 20 count as artists of their own" in capsys.readouterr().err


def test_long_songs_give_several_clips(tmp_path):
    for genre in ("Folk", "Rock"):
        for number, seconds in enumerate((10, 95, 400)):
            write_song(tmp_path / genre / f"{number}.flac", seconds)
    starts = {}
    for source in genre_folders(tmp_path):
        starts.setdefault(source.path.name, []).append(source.start)
    assert starts["0.flac"] == [0, 0]  # one a genre
    assert starts["1.flac"][:3] == pytest.approx([0, 32.5, 65])
    assert len(starts["2.flac"]) == 2 * CLIPS_PER_SONG
    assert max(starts["2.flac"]) == pytest.approx(370)


def test_too_little_to_learn_from_is_said(tmp_path):
    (tmp_path / "notes").mkdir()
    write_song(tmp_path / "Folk" / "a.flac", 0.2)
    with pytest.raises(DataError, match="at least two sub-folders"):
        genre_folders(tmp_path)
    write_song(tmp_path / "Rock" / "a.flac", 0.2)
    with pytest.raises(DataError, match="Folk has 1 artist;"):
        genre_folders(tmp_path)


def write_fma(folder, tracks):
    """FMA's table with its three header rows; tracks are (id, genre, split, subset)."""
    (folder / "fma_metadata").mkdir(parents=True)
    (folder / "fma_small").mkdir()
    with (folder / "fma_metadata" / "tracks.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["", "album", "set", "set", "track"])
        writer.writerow(["", "title", "split", "subset", "genre_top"])
        writer.writerow(["track_id", "", "", "", ""])
        writer.writerows([track, "title, of album", split, subset, genre] for track, genre, split, subset in tracks)


def test_fma_small_comes_with_its_official_split(tmp_path, capsys):
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
    sources = fma_small(tmp_path)
    assert [(s.track_id, s.genre, s.split) for s in sources] == [
        ("2", "Hip-Hop", "training"),
        ("1040", "Rock", "validation"),
        ("140000", "Rock", "test"),
    ]
    assert sources[1].path == tmp_path / "fma_small" / "001" / "001040.mp3"
    assert "1 known to be broken" in capsys.readouterr().out


def test_another_table_is_not_taken_for_fmas(tmp_path):
    write_fma(tmp_path, [])
    (tmp_path / "fma_metadata" / "tracks.csv").write_text("a,b\nc,d\n,\n")
    with pytest.raises(DataError, match="not FMA's table"):
        fma_small(tmp_path)


def test_fma_small_is_fetched_by_its_name_and_only_when_missing(tmp_path, monkeypatch):
    fetched = []
    monkeypatch.setattr(train, "fetch_fma_small", lambda folder: fetched.append(folder) or write_fma(folder, []))
    monkeypatch.setattr(train, "build_archive", lambda sources, front_end, folder: None)
    for _ in range(2):
        train.prepare(Namespace(data=tmp_path / "fma_small", archive=tmp_path / "archive", members=["dense"]))
    assert fetched == [tmp_path / "fma_small"]


def test_the_audio_alone_is_not_taken_for_genres(tmp_path):
    (tmp_path / "000").mkdir()
    with pytest.raises(DataError, match="name the folder above it"):
        train.prepare(Namespace(data=tmp_path, archive=None, members=["dense"]))
