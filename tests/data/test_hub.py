"""Data sets that are made here and served by a local Hub, see `tests.hub_server`, to the real client."""

import io
import json
import re
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from genre.data import hub as source
from genre.data import prepare
from genre.data.hub import hub_songs, parse
from genre.errors import DataError
from tests.conftest import music, write_audio
from tests.hub_server import Hub, running_hub, use_hub

REPO = "user/songs"
NAMES = ["Folk", "Rock"]
AUDIO = {"_type": "Audio"}


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Hub:
    """An empty Hub, which is used without a token."""
    with running_hub() as hub:
        use_hub(monkeypatch, hub.url, None, tmp_path)
        yield hub


@pytest.fixture(scope="session")
def sounds(tmp_path_factory) -> list[bytes]:
    """Twelve different songs of half a second."""
    folder = tmp_path_factory.mktemp("sounds")
    return [
        write_audio(folder / f"{number}.flac", [music(0.5) * (number + 1) / 20], "flac").read_bytes()
        for number in range(12)
    ]


def table(columns: dict[str, list], features: dict | None = None, **options) -> bytes:
    """A parquet file; songs in the column `audio` are bytes."""
    arrays = {
        name: [{"bytes": one, "path": f"{number}.flac"} for number, one in enumerate(values)]
        if name == "audio"
        else values
        for name, values in columns.items()
    }
    made = pa.table(arrays)
    if features is not None:
        stored = {"info": {"features": {"audio": AUDIO} | features}}
        made = made.replace_schema_metadata({"huggingface": json.dumps(stored)})
    file = io.BytesIO()
    parquet.write_table(made, file, **options)
    return file.getvalue()


def serve(hub: Hub, files: dict[str, bytes | str], **options) -> None:
    repo = hub.create(REPO, "datasets", private=False)
    repo.commit({name: one.encode() if isinstance(one, str) else one for name, one in files.items()})
    for name, value in options.items():
        setattr(repo, name, value)


def read(name: str = f"hf:{REPO}", **options) -> list:
    return hub_songs(parse(name), **options)


def test_names():
    assert str(parse("hf:user/songs@refs/pr/1:small")) == "hf:user/songs@refs/pr/1:small"
    assert parse(Path("hf:user/songs@v1")) == source.HubDataset("user/songs", "v1")
    for name in ("hf:songs", "hf:a/b/c", "hf:user/songs@", "hf:"):
        with pytest.raises(DataError, match="the form is hf:USER/DATASET"):
            parse(name)


def test_tables_with_classes_splits_and_artists(hub, sounds, capsys):
    """As `push_to_hub` writes them."""
    features = {"genre": {"names": NAMES, "_type": "ClassLabel"}}
    files = [f"\n  - split: {split}\n    path: data/{split}-*" for split in ("train", "test")]
    card = f"---\nlicense: cc-by-4.0\nconfigs:\n- config_name: default\n  data_files:{''.join(files)}\n---\n"
    one = {"audio": sounds[:4], "genre": [0, 1, 0, 1], "artist": ["A", "B feat. C", "D", None], "plays": [1, 2, 3, 4]}
    two = {"audio": sounds[4:6], "genre": [0, -1], "artist": ["D", "E"], "plays": [5, 6]}
    files = {
        "data/train-00000-of-00001.parquet": table(one, features),
        "data/test-00000-of-00001.parquet": table(two, features),
    }
    serve(hub, {"README.md": card, **files})
    songs = read()
    assert [(song.genre, song.artist, song.split) for song in songs] == [
        ("Folk", "d", "test"),
        ("Folk", "a", "training"), ("Rock", "b", "training"), ("Folk", "d", "training"), ("Rock", "", "training"),
    ]  # fmt: skip
    assert [song.path.read_bytes() for song in songs] == [sounds[4], *sounds[:4]]
    printed = capsys.readouterr().out
    assert re.search(r"2 files, 0\.\d MB, of which 0\.\d MB are to be downloaded to .*; license: cc-by-4\.0", printed)
    assert "1 of 6 songs have no genre" in printed and "1 name none and count as artists of their own" in printed
    assert "artists with songs in two parts of this split: 1 (d)" in printed

    hub.requests.clear()
    assert read() == songs
    assert len(hub.requests) == 1 and "songs, downloaded earlier" in capsys.readouterr().out


def test_what_was_downloaded_is_used_without_a_network(hub, sounds, monkeypatch, capsys):
    serve(hub, {"train.parquet": table({"audio": sounds[:2], "label": ["x", "y"]})})
    songs = read()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert read() == songs
    assert "the Hub does not answer" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("columns", "label", "genres"),
    [
        ({"genres": [["Rock", "Pop"], ["Folk"]], "title": ["a", "b"]}, None, ["Rock", "Folk"]),
        ({"song": ["a", "b"], "label": ["Rock", "Folk"], "genre": ["x", "y"]}, "label", ["Rock", "Folk"]),
        ({"Label": [3, 4]}, None, ["3", "4"]),
    ],
)
def test_columns_of_labels(hub, sounds, columns, label, genres):
    serve(hub, {"train.parquet": table({"audio": sounds[:2]} | columns)})
    assert [song.genre for song in read(label=label)] == genres


@pytest.mark.parametrize(
    ("columns", "label", "message"),
    [
        (
            {"genre": ["x"], "genre_top": ["y"]},
            None,
            "several columns of labels: choose one with --label: genre, genre_top",
        ),
        ({"mood": ["x"], "artist": ["y"]}, None, "has no labels.*one of these holds them.*: mood."),
        ({"genre": ["x"]}, "mood", "has no column 'mood'; it has genre."),
        ({}, None, "has no labels: no column is named genre or label, or of type ClassLabel.$"),
    ],
)
def test_labels_that_are_not_clear_are_found_before_the_download(hub, sounds, columns, label, message):
    serve(hub, {f"train-0000{n}-of-00002.parquet": table({"audio": sounds[n : n + 1]} | columns) for n in range(2)})
    with pytest.raises(DataError, match=message):
        read(label=label)
    assert not any("GET" in one and "train-00001" in one for one in hub.requests)


def test_songs_without_labels_can_be_used_as_such(hub, sounds):
    serve(hub, {"train.parquet": table({"audio": sounds[:2], "mood": ["a", "b"]})})
    assert [song.genre for song in read(labelled=False)] == ["", ""]


def test_copies_and_disputed_songs_are_left_out(hub, sounds, capsys):
    audio = [sounds[0], sounds[0], sounds[1], sounds[1], sounds[2]]
    serve(hub, {"train.parquet": table({"audio": audio, "genre": ["Rock", "rock", "Rock", "Folk", "Folk"]})})
    assert [song.path.read_bytes() for song in read()] == [sounds[0], sounds[2]]
    printed = capsys.readouterr().out
    assert "1 songs are copies" in printed and "2 songs are left out, since they are the same file" in printed


def test_configurations(hub, sounds):
    tables = {name: table({"audio": sounds[:1], "genre": [name]}) for name in ("big", "small")}
    card = "---\nconfigs:\n" + "".join(f"- config_name: {name}\n  data_files: {name}/*.parquet\n" for name in tables)
    for readme in ({}, {"README.md": f"{card}---\n"}):
        serve(hub, {f"{name}/train/0.parquet": one for name, one in tables.items()} if not readme else readme | {
            f"{name}/0.parquet": one for name, one in tables.items()})  # fmt: skip
        with pytest.raises(DataError, match="several configurations: add one to its name, after a colon: big, small"):
            read()
        assert [song.genre for song in read(f"hf:{REPO}:small")] == ["small"]
        with pytest.raises(DataError, match="no configuration 'tiny'"):
            read(f"hf:{REPO}:tiny")


def test_audio_in_folders(hub, sounds):
    places = ("train/Rock", "train/Folk", "test/Rock", "test/Folk")
    serve(hub, {f"{place}/a.flac": sounds[number] for number, place in enumerate(places)})
    assert [(song.genre, song.split) for song in read()] == [
        ("Folk", "test"), ("Rock", "test"), ("Folk", "training"), ("Rock", "training"),
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_audio_with_metadata(hub, sounds, form):
    rows = [{"file_name": f"songs/{n}.flac", "genre": NAMES[n], "artist": f"Artist {n}"} for n in range(2)]
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    text = "\n".join(lines if form == "csv" else map(json.dumps, rows))
    serve(hub, {f"train/metadata.{form}": text} | {f"train/songs/{n}.flac": sounds[n] for n in range(2)})
    assert [(song.genre, song.artist) for song in read()] == [("Folk", "artist 0"), ("Rock", "artist 1")]


def test_shards(hub, sounds):
    shard = io.BytesIO()
    with tarfile.open(fileobj=shard, mode="w") as tar:
        for number in range(2):
            values = {"genre": NAMES[number], "artist": {"name": "nested"}, "performer": f"P {number}"}
            for name, content in (("flac", sounds[number]), ("json", json.dumps(values).encode())):
                info = tarfile.TarInfo(f"../{number}.{name}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    serve(hub, {"train-0000.tar": shard.getvalue()})
    songs = read()
    assert [(song.genre, song.artist) for song in songs] == [("Folk", "p 0"), ("Rock", "p 1")]
    assert [song.path.read_bytes() for song in songs] == sounds[:2] and songs[0].path.parent.name == "songs"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"data.csv": b"a,b"}, "neither parquet files nor audio files nor tar shards.*@refs/convert/parquet"),
        ({"train.parquet": table({"file": ["a.mp3"], "genre": ["x"]})}, "has no column of audio; it has file, genre"),
        ({"metadata.jsonl": b"[1]", "a.mp3": b""}, "metadata.jsonl of .* was damaged and is removed"),
        ({"README.md": b"---\nconfigs: [1]\n---\n", "a.mp3": b""}, "The card of .* in a form that is not known"),
        ({"Rock/a.mp3": b"", "x.tar": b"\0" * 1024}, "x.tar of .* was damaged and is removed"),
        ({"train.parquet": table({"audio": [b"x"], "genre": [None]})}, "has no labels"),
        ({"train.parquet": table({"audio": [b"x"], "genre": [""]})}, "No song of .* can be used; is 'genre'"),
        ({"train.parquet": table({"audio": [None], "genre": ["x"]})}, "holds no audio itself"),
        ({"train.parquet": b"PAR1 no table"}, "train.parquet of .* was damaged and is removed"),
        ({"train.tar": b"no shard"}, "train.tar of .* was damaged and is removed"),
    ],
)  # fmt: skip
def test_data_sets_that_cannot_be_read(hub, files, message):
    serve(hub, files)
    with pytest.raises(DataError, match=message) as raised:
        read()
    assert "\n" not in str(raised.value)


def test_a_table_that_was_damaged_on_the_disk_is_fetched_again(hub, sounds, tmp_path):
    content = table({"audio": sounds[:2], "genre": NAMES})
    serve(hub, {"train.parquet": content})
    first = read()
    (blob,) = (one for one in (tmp_path / "cache").rglob("blobs/*") if one.stat().st_size == len(content))
    blob.write_bytes(content[:400] + bytes(len(content) - 400))
    first[0].path.unlink()
    with pytest.raises(DataError, match="was damaged and is removed; start again"):
        read()
    assert read() == first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gated": True}, "it is gated: accept its conditions on its page"),
        ({"private": True}, "is the name right, and is it public"),
    ],
)
def test_a_data_set_that_may_not_be_read(hub, sounds, options, message):
    serve(hub, {"train.parquet": table({"audio": sounds[:1], "genre": ["x"]})}, **options)
    with pytest.raises(
        DataError, match=f"^hf:user/songs could not be downloaded from the Hugging Face Hub: .*{message}"
    ):
        read()


@pytest.mark.parametrize(
    ("outage", "reason"),
    [((429, b"{}"), r"the Hub asks to wait \(429\)"), ((200, b"<html>"), "what answers is not the Hub")],
)
def test_a_hub_that_does_not_answer(hub, outage, reason):
    hub.outage = outage
    with pytest.raises(DataError, match=reason):
        read()
    hub.outage = None
    with pytest.raises(DataError, match="is the name right"):
        read()
    serve(hub, {})
    with pytest.raises(DataError, match="it has no such revision"):
        read(f"hf:{REPO}@v9")


def test_fmas_official_split_is_restored_by_title_and_artist(hub, sounds, tmp_path, capsys):
    titles = ["One", "Two!", "Same", "Unknown"]
    serve(
        hub, {"train.parquet": table({"audio": sounds[:4], "title": titles, "artist": ["A"] * 4, "genre": ["x"] * 4})}
    )
    header = [",artist,set,set,track,track", ",name,split,subset,genre_top,title", "track_id,,,,,"]
    rows = ["1,A,training,small,x,one", "2,A,test,small,x,Two", "3,A,test,large,x,Same", "4,A,training,full,x,Same"]
    (tmp_path / "tracks.csv").write_text("\n".join(header + rows))
    songs = read(fma=tmp_path / "tracks.csv")
    assert [song.split for song in songs] == ["training", "test", "", ""]
    assert "2 of 4 songs have FMA's official split" in capsys.readouterr().out
    with pytest.raises(DataError, match="no tracks.csv of FMA"):
        read(fma=tmp_path / "missing")


@pytest.mark.slow  # since it starts processes for decoding
def test_it_stands_beside_folders_in_a_training(hub, sounds, tmp_path, capsys):
    """With a song that cannot be decoded, which is left out."""
    audio = [*sounds[:6], b"no song"]
    serve(hub, {"train.parquet": table({"audio": audio, "genre": NAMES * 3 + ["Rock"], "artist": list("abcdefg")})})
    for number in range(6, 12):
        path = tmp_path / "music" / NAMES[number % 2] / f"{number}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sounds[number])
    folders = [Path(f"hf:{REPO}"), tmp_path / "music"]
    data = prepare.prepare(prepare.Preparation(folders, tmp_path / "archives", ["dense"]))
    assert data.genres == NAMES and [one.name for one in data.sources] == ["songs", "music"]
    assert [len(one.ids) for one in data.sources] == [6, 6]
    assert "1 of 7 clips could not be read" in capsys.readouterr().out
    serve(hub, {"train.parquet": table({"audio": sounds[:6], "genre": ["Rock"] * 6, "artist": list("abcdef")})})
    with pytest.raises(DataError, match="at least two genres; here is Rock"):
        prepare.prepare(prepare.Preparation(folders[:1], tmp_path / "archives", ["dense"]))


def test_an_interrupted_preparation_goes_on(hub, sounds, monkeypatch):
    """Nothing is fetched or unpacked twice."""
    parts = {f"train-0000{n}-of-00002.parquet": sounds[3 * n : 3 * n + 3] for n in range(2)}
    serve(hub, {name: table({"audio": part, "genre": ["x"] * 3}) for name, part in parts.items()})
    write, written, stopping = Path.write_bytes, [], True

    def stop(path, content):
        if stopping and "0001-" in path.name:
            raise KeyboardInterrupt
        written.append(path.name)
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", stop)
    with pytest.raises(KeyboardInterrupt):
        read()
    stopping = False
    hub.requests.clear()
    assert [song.path.read_bytes() for song in read()] == sounds[:6]
    assert not [one for one in hub.requests if "/resolve/" in one] and len(written) == 6
